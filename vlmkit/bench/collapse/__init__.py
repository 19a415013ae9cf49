"""Accuracy and cost against the number of labels, for any strategies on the same images and subsets of the labels.

images (``images``), each with its subset of the labels (``subsets``)
-> one run for each cell (``cells``) -> ``figures`` (``lost``) -> ``tables``, ``plot``
"""
