"""Transforms by name, one a file: what a stage sees of its examples, such as blurred images.

To add one, put a file here with a function whose facts, `plasticity.runs.facts.TransformFacts`, say
what it changes and so what it is given:

- ``images``: images, uint8 [n, c, h, w], of which it returns as many of the same shape. Training
  and test images are changed once, before training.
- ``labels``: labels, int64 [n], the number of classes and a generator; it returns other labels.
  Those of training are changed once, and so the same in every epoch; those of testing stay true.
- ``batches``: images, uint8 [b, c, h, w], labels, int64 [b], and random numbers, int64 [b, k], all
  on one device; it returns images and labels. It is called for every batch of training, where
  shapes may not depend on what tensors hold and nothing may wait for the device, so that CUDA can
  record it.
- ``order``: nothing. The examples come in another order.

Several are applied in an order that follows from their facts, not from the path: images, labels,
batches; among these what moves pixels (``acts="geometry"``, such as a crop) before what changes
them; last what has labels of its own, as nothing may change an image once its label was read off
it. `plasticity.runs.combination` has it, and the order in which paths spell them.
"""
