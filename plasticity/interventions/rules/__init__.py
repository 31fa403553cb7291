"""Update rules by name, one a file.

To add one, put a file here with a function of the parameters that returns a torch optimiser. Its
learning rate is divided by 10 after the epochs that the optimiser's name tells, and left alone
otherwise (`plasticity.training.loop.set_learning_rate`). What it keeps in its state, groups and
attributes is saved, as far as `plasticity.training.optimiser_state` can. Its `step` is called
without the wrappers that torch puts around it (`plasticity.training.backends.bare_step`), so it may
not rely on wrappers of its own. All optimisers start a stage with fresh state (Berariu et al.,
appendix A).
"""
