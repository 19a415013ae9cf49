"""How fast strategies run on a model, side by side with the plain ways through transformers.

    questions -> vlmkit, watched (``watch``), and plain sides (``sides``), in turn (``speed``) -> ``figures``

``ideal`` counts the tokens that the model has to see, ``peak`` what the machine can do.
"""
