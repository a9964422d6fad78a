"""Annotating many texts with a trained pipeline: in pieces, in parallel, and to be continued.

`annotate` is the whole of it. Its parts, in the direction of their imports: `plain` (values that
every output can hold), `inputs` (files to records), `chunks` (records to pieces of work),
`outputs` (docs to files), `annotator` (the pipeline, a chunk to a part of the output), `local` and
`on_ray` (engines, which run annotators) and `work_folder` (what is done, on disk).
"""

from .annotate import Summary, annotate

__all__ = ["Summary", "annotate"]
