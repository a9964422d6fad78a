"""What Crone (2020) reports, to stand beside what is found here."""

#: Its encoder and data, to be named beside the figures.
SETTING = "ELMo 5.5B, GloVe"

#: F1, in percent: from the name of a table to its rows, to the scores of a row.
TABLES: dict[str, dict[str, dict[str, float]]] = {
    "table2-ade": {
        "Folds": {
            "ents_macro_p": 89.06,
            "ents_macro_r": 89.63,
            "ents_macro_f": 89.48,
            "rel_macro_p": 80.51,
            "rel_macro_r": 86.81,
            "rel_macro_f": 83.74,
        }
    },
    "table2-conll04": {
        "Seeds": {
            "ents_macro_p": 87.92,
            "ents_macro_r": 86.42,
            "ents_macro_f": 87.00,
            "ents_micro_p": 89.84,
            "ents_micro_r": 89.73,
            "ents_micro_f": 89.78,
            "rel_macro_p": 77.73,
            "rel_macro_r": 68.38,
            "rel_macro_f": 72.63,
            "rel_micro_p": 78.69,
            "rel_micro_r": 64.84,
            "rel_micro_f": 71.08,
        }
    },
    "table3": {
        "Baseline": {
            "ents_macro_f": 87.00,
            "ents_micro_f": 89.78,
            "rel_macro_f": 72.63,
            "rel_micro_f": 71.08,
        },
        "No NER-specific BiRNNs": {
            "ents_macro_f": 86.19,
            "ents_micro_f": 89.24,
            "rel_macro_f": 68.45,
            "rel_micro_f": 67.05,
        },
        "No RE-specific BiRNNs": {
            "ents_macro_f": 85.84,
            "ents_micro_f": 89.06,
            "rel_macro_f": 59.57,
            "rel_micro_f": 57.82,
        },
        "No task-specific BiRNNs": {
            "ents_macro_f": 86.16,
            "ents_micro_f": 89.46,
            "rel_macro_f": 57.45,
            "rel_micro_f": 55.47,
        },
    },
}
