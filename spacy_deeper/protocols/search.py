"""A search for good settings: Optuna draws trials, and gives up on those that fall behind."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from statistics import mean
from threading import Event, Lock
from time import monotonic
from typing import Any

import optuna
import srsly
from optuna.trial import FrozenTrial, Trial, TrialState
from tqdm import tqdm

from ..errors import Errors
from ..training.convert import write_atomically
from .environment import machine, versions
from .folder import RESULTS
from .pool import BAR, LOG, Share, Stopped, execute
from .runs import Run, file_hash
from .settings import overlay
from .space import Space, distribution

STUDY, BEST = "search.db", "best.cfg"
#: Scores that a training and the end of a run both have.
METRICS = [
    f"{what}_{average}_{metric}"
    for what in ("ents", "rel", "ents_boundaries", "rel_boundaries")
    for average in ("micro", "macro")
    for metric in "prf"
]
#: With fewer complete trials it is chance which settings seem to matter.
ENOUGH_TRIALS = 10
#: These count: the budget is spent on them.
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


class Search:
    """A search that can be stopped at any time, and goes on in the same folder.

    Each trial is a run in a process of its own, whose scores during the training decide whether it
    goes on. A trial that did not come to its end, as the search was stopped or it failed, does not
    count. Only one search at a time can work in a folder.

    space (Space): What to draw each setting from.
    train, dev (Path): `.spacy` files to train and to score on.
    output (Path): The folder with `search.db`, `results.json`, `best.cfg`, and the `runs`.
    options (Dict[str, Any]): What `worker.work` takes.
    metric (Sequence[str]): The scores whose mean is to be high.
    seeds (int): Trainings of a trial, whose mean counts. It is the first that can be given up on.
    n_process (int): Trials at a time.
    seed (int): Of the search.
    first (Optional[Dict[str, Any]]): The settings of the first trial.
    title (str): How a report is to call it.
    silent (bool): Show no progress.
    """

    def __init__(
        self,
        space: Space,
        train: Path,
        dev: Path,
        output: Path,
        options: dict[str, Any],
        *,
        metric: Sequence[str],
        seeds: int = 1,
        n_process: int = 1,
        seed: int = 0,
        first: dict[str, Any] | None = None,
        title: str = "Search",
        silent: bool = True,
    ) -> None:
        self.distributions = {key: distribution(entry) for key, entry in space.items()}
        self.train, self.dev, self.output = train, dev, output
        self.options = options
        self.metric = list(metric)
        self.seeds, self.n_process, self.silent = seeds, n_process, silent
        self.title = title
        self.about = {
            "metric": self.metric,
            "seeds": seeds,
            "space": space,
            "options": options,
            "data": {str(path): file_hash(path) for path in (train, dev)},
        }
        self.study = self._open(seed)
        known = [trial.params for trial in self._trials(*FINISHED)]
        if first is not None and first not in known and not self._trials(TrialState.WAITING):
            self.study.enqueue_trial(first)
        self.lock = Lock()
        self.stop = Event()
        self.failed: list[tuple[int, RuntimeError]] = []

    def run(self, n_trials: int, minutes: float | None = None) -> dict[str, Any]:
        """Do what is missing of a number of trials.

        minutes (Optional[float]): No trial is begun after this time.
        RETURNS (Dict[str, Any]): What is in `results.json`.
        """
        n_done = len(self._trials(*FINISHED))
        tickets = iter(range(n_trials - n_done))
        end = None if minutes is None else monotonic() + 60 * minutes
        bar_format = BAR.replace(" runs", " trials")
        with tqdm(total=n_trials, disable=self.silent or None, bar_format=bar_format) as bar:
            bar.update(min(n_done, n_trials))
            with ThreadPoolExecutor(self.n_process) as pool:
                jobs = [pool.submit(self._work, tickets, end, bar) for _ in range(self.n_process)]
                try:
                    for job in as_completed(jobs):
                        job.result()
                except BaseException:
                    self.stop.set()
                    raise
        results = self._write(with_importances=True)
        if self.failed:
            number, problem = self.failed[0]
            log = self.output / "runs" / _name(number, 0) / LOG
            raise ValueError(Errors.D325.format(n=len(self.failed), log=log, problem=problem))
        return results

    def _open(self, seed: int) -> optuna.Study:
        """Open the folder's study, or begin one."""
        path = self.output / STUDY
        path.parent.mkdir(parents=True, exist_ok=True)
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # we have lines of our own
        try:
            # Seconds that one process waits while another one writes.
            wait = {"connect_args": {"timeout": 60}}
            storage = optuna.storages.RDBStorage(f"sqlite:///{path}", engine_kwargs=wait)
            study = optuna.create_study(
                storage=storage, study_name="search", direction="maximize", load_if_exists=True
            )
        # What a broken file raises depends on what is broken in it.
        except Exception as err:
            raise ValueError(Errors.D326.format(path=path, problem=err)) from err
        any_run = Run("", "", self.train, self.dev, dev=self.dev)
        fingerprint = any_run.fingerprint({k: v for k, v in self.about.items() if k != "data"})
        if study.user_attrs.get("fingerprint", fingerprint) != fingerprint:
            raise ValueError(Errors.D324.format(path=self.output))
        study.set_user_attr("fingerprint", fingerprint)
        for trial in study.get_trials(states=(TrialState.RUNNING,)):
            # The process that ran it was killed: it would be taken for running for ever.
            study.tell(trial.number, state=TrialState.FAIL)
        # A sampler does not go on with its random numbers, and would draw the first trials again.
        seed += len(study.get_trials(deepcopy=False))
        study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=self.n_process > 1)
        study.pruner = optuna.pruners.MedianPruner(
            n_startup_trials=5, n_warmup_steps=self.options["evaluations"] // 4
        )
        return study

    def _work(self, tickets: Iterator[int], end: float | None, bar: "tqdm[Any]") -> None:
        """Do trials as long as there are tickets and time: one of some threads."""
        for _ in tickets:
            if self.stop.is_set() or (end is not None and monotonic() > end):
                return
            with self.lock:
                trial = self.study.ask(self.distributions)
            share = Share(bar)
            value, state = None, TrialState.FAIL
            try:
                value = self._score(trial, share)
                state = TrialState.COMPLETE
            except optuna.TrialPruned:
                state = TrialState.PRUNED
            except RuntimeError as problem:
                self.failed.append((trial.number, problem))
                if not self._trials(*FINISHED):
                    self.stop.set()  # if the first one fails, probably all will
            except Stopped:
                return
            finally:
                with self.lock:
                    self.study.tell(trial, value, state)
                    results = self._write()
            share({"step": int(state in FINISHED), "n_steps": 1})
            if not self.silent:
                _print_trial(results, trial.number)

    def _score(self, trial: Trial, share: Share) -> float:
        """Train and score with the settings of a trial."""
        values = []
        for seed in range(self.seeds):
            run = Run(
                name=_name(trial.number, seed),
                row=f"trial-{trial.number}",
                train=self.train,
                test=self.dev,
                seed=seed,
                settings=trial.params,
                dev=self.dev,
            )
            watch = _Watch(trial, self.metric, seed, self.seeds, share)
            folder = self.output / "runs"
            result = execute(run, folder, self.options, self.n_process, watch, self.stop)
            scores = result["scores"]["all"]
            values.append(mean(scores[name] for name in self.metric))
        return mean(values)

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=states)

    def _write(self, with_importances: bool = False) -> dict[str, Any]:
        """Write what was found so far."""
        complete = self._trials(TrialState.COMPLETE)
        best = max(complete, key=lambda trial: trial.value or 0.0, default=None)
        results: dict[str, Any] = {
            "protocol": "search",
            "title": self.title,
            "machine": machine(),
            "versions": {**versions(), "optuna": optuna.__version__},
            **self.about,
            "best": best and {"number": best.number, "score": best.value, "settings": best.params},
            "importances": self._importances() if with_importances else None,
            "trials": [_to_dict(t) for t in self._trials(*STATES)],
        }
        text = srsly.json_dumps(results, indent=1) + "\n"
        write_atomically(self.output / RESULTS, text.encode())
        if best is not None:
            head = f"# Trial {best.number} of a search: {best.value:.4f}\n"
            write_atomically(self.output / BEST, (head + overlay(best.params)).encode())
        return results

    def _importances(self) -> dict[str, float] | None:
        """Tell how much of the differences between trials is due to each setting."""
        if len(self._trials(TrialState.COMPLETE)) < ENOUGH_TRIALS:
            return None
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        try:
            return dict(optuna.importance.get_param_importances(self.study, evaluator=evaluator))
        except RuntimeError:  # all trials have the same score
            return None


class _Watch:
    """Hand a training's scores on to its trial, and say when to give up on it."""

    def __init__(
        self, trial: Trial, metric: Sequence[str], seed: int, seeds: int, share: Share
    ) -> None:
        self.trial = trial
        self.metric = metric
        self.seed, self.seeds = seed, seeds
        self.share = share
        self.n_seen = 1  # not what the first update, before any epoch, has made

    def __call__(self, progress: dict[str, Any]) -> None:
        step, n_steps = progress["step"], progress["n_steps"]
        self.share({"step": self.seed + min(1.0, step / n_steps), "n_steps": self.seeds})
        new = list(enumerate(progress["evaluations"]))[self.n_seen :]
        # Without scores of these names (components with a scorer of their own) nothing is pruned.
        if self.seed > 0 or not new or not set(self.metric) <= set(new[0][1]["scores"]):
            return
        for number, evaluation in new:
            self.trial.report(mean(evaluation["scores"][name] for name in self.metric), number)
        self.n_seen += len(new)
        if step < n_steps and self.trial.should_prune():
            raise optuna.TrialPruned


def _name(trial: int, seed: int) -> str:
    return f"trial-{trial}-seed-{seed}"


def _to_dict(trial: FrozenTrial) -> dict[str, Any]:
    counts = trial.state in FINISHED
    return {
        "number": trial.number,
        "state": STATES[trial.state],
        "settings": trial.params,
        # Optuna gives a pruned trial the score that it was pruned at.
        "value": trial.value if trial.state is TrialState.COMPLETE else None,
        "intermediate": [value for _, value in sorted(trial.intermediate_values.items())],
        "seconds": trial.duration.total_seconds() if counts and trial.duration else None,
    }


def _print_trial(results: dict[str, Any], number: int) -> None:
    trial = next(trial for trial in results["trials"] if trial["number"] == number)
    best = results["best"]
    parts = [f"trial {number}: {trial['state']}"]
    if trial["value"] is not None:
        parts.append(f"{trial['value'] * 100:.1f}")
    if best is not None:
        parts.append(f"best {best['score'] * 100:.1f} (trial {best['number']})")
    if trial["seconds"] is not None:
        parts.append(f"{trial['seconds'] / 60:.1f} min")
    tqdm.write(", ".join(parts))
