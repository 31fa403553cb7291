"""One stage of a run, trained: the loop, CUDA graphs, the device, checkpoints, pruning."""
