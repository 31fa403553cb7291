"""Update rules by name, one a file.

To add one, put a file here with a function of the parameters that returns a torch optimiser. The
learning rate that it is made with is constant, or drops after the epochs that the optimiser's name
tells (`plasticity.training.loop.set_learning_rate`). Its `step` is called without the wrappers that
torch puts around it (`plasticity.training.backends.bare_step`), so it may not rely on wrappers of
its own. All optimisers start a stage with fresh state (Berariu et al., appendix A).
"""
