"""Stands in for a worker: it does what its run's settings say, without importing anything large."""

import json
import os
import sys
import time
from pathlib import Path

here = Path(sys.argv[1])
job = json.loads((here / "job.json").read_text())
settings = job["run"]["settings"]


def write(name, text):
    (here / ".temp").write_text(text)
    (here / ".temp").replace(here / name)


write("progress.json", '{"step": 1, "n_steps": 2}')
write("started", f"{os.getpid()} {os.environ['OMP_NUM_THREADS']}")
while settings.get("wait_for") and not Path(settings["wait_for"]).exists():
    time.sleep(0.01)
if "fail" in settings:
    print("some line\n" + settings["fail"] + "\n")
    sys.exit(1)
if "kill" in settings:
    os.kill(os.getpid(), settings["kill"])
scores = dict.fromkeys(("ents_micro_f", "ents_macro_f", "rel_micro_f", "rel_macro_f"), 0.5)
result = {
    **job["run"],
    "fingerprint": job["fingerprint"],
    "seconds": 1,
    "n_parameters": 1,
    "scores": {"all": scores},
}
write("result.json", json.dumps(result))
