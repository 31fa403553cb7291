"""Metrics of runs that nobody trained, for the tables made of them."""

from plasticity.runs.metrics import EpochMetrics

PLACE = "digits-clutter/resnet-d1w8/seed{seed}/"
COLD = PLACE + "full_sgd-lr0.1-m0.9_e5_init"
PRETRAINING = PLACE + "half_adam-lr0.002-b64_e2_init"
WARM = PLACE + "half_adam-lr0.002-b64_e2_init/full_sgd-lr0.1-m0.9_e5_keep"
RESET = PLACE + "half_adam-lr0.002-b64_e2_init/full_sgd-lr0.1-m0.9_e5_reset5+6"
ABOUT = {
    "begins": 0,
    "ends": 45,
    "density": 1.0,
    "perturbation": 0.0,
    "training_examples": 1200,
    "parameters": 77_000,
    "device": "cpu",
    "precision": "float32",
    "torch": "2.13.0",
    "code": "0123456789abcdef",
    "data_checksum": "feed",
    "diverged_step": None,
}


def history(test, train=None, first=1):
    """Epochs from the `first` on, by the clock of the stage."""
    train = train or [value / 2 for value in test]
    return [
        EpochMetrics(epoch, 9 * epoch, 2.0, training, 3.0, testing, 0.25)
        for epoch, (training, testing) in enumerate(zip(train, test, strict=True), start=first)
    ]
