"""How fast strategies run on a model, side by side with the plain ways through transformers.

    questions -> vlmkit (``meters``), plain sides (``sides``), a yardstick (``dense``), in turn (``contest``)
              -> ``figures`` -> ``plot``

``speed`` opens model and data and measures case by case. ``ideal`` counts the tokens that the model has to see,
``machine`` says what the hardware can do.
"""
