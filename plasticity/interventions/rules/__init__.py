"""Update rules by name, one a file.

To add one, put a file here with a function of the parameters that returns a torch optimiser. How it
is used is a contract; what of it can be seen is checked where the rule is declared or, at the
latest, before its first step.

Made: once a stage, of the parameters of the network in its order, on their device, as float32, the
kernels of convolutions in channels-last order, as are their gradients: take `reshape`, not `view`.
It may sort them into groups and leave some out, but trains none that are not the network's.

Step: once a batch, when the gradients of the batch are there, without gradient recording and
without the wrappers that torch puts around `step` (`plasticity.training.backends.bare_step`), so it
may not rely on wrappers of its own, nor hooks. A parameter that is frozen or not used has no
gradient. In a sub-network, gradients are masked before the step and weights after it.

Passes: a rule that evaluates the loss more than once a step declares about how many passes it
makes, the first included: ``facts=OptimiserFacts(passes=2)``. Its step is given a closure, which
evaluates the loss of the same batch anew at the present weights, leaves the gradients of this there
(masked), and returns the loss. The first pass has been made: its gradients are there, so that the
closure need not be asked for them; its loss and its running statistics are those that count. Such
steps are never recorded, kernels then lie in the usual order, and the passes count in the budget.

Rate: in its groups, as ``lr``. It is divided by 10 after the epochs that `-drop` names, set before
every step where there is a `-warm` or a `-cosine`, and left alone otherwise
(`plasticity.training.schedule`). In a recorded step that is set so, it is a tensor on the device.

State: its state, groups and attributes are saved, as far as `plasticity.training.optimiser_state`
can, and are all that it may remember. A stage begins with a fresh one (Berariu et al., appendix A),
but for the start ``continue``.

Draws: from a generator that it keeps, or from the global ones, which belong to the stage.

Recorded (on a GPU, unless `execution` is ``eager``): after the first step, which makes the state,
steps are replayed as operations on the device. A rule that counts in Python, changes its rate,
replaces tensors or waits for the device is refused, with the advice to train with ``eager``; where
its groups have ``capturable``, that is set. ``foreach`` and ``fused`` are the rule's own to choose.
"""
