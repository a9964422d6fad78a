"""What surrounds a model when its figures are to be believed: seeds, folds, ablations, searches.

A protocol is a list of runs (`runs.Run`), each of which trains one pipeline and scores it on data
it has not seen. Runs go through processes of their own, in parallel, and those that are finished
already are left as they are.
"""
