"""Linear probes: what can be read off a model's hidden states, whatever it says.

    data -> Encode queries -> features on disk -> split -> one linear head a level -> figures over whole paths

``look`` asks, ``store`` keeps, ``targets`` and ``split`` say what is learnt from what, ``heads`` learns, ``outcome``
judges; ``bottleneck`` sets probes beside what the model itself answers.
"""
