"""Upper bounds on what paths and configurations ask for: each once, far from any use.

They keep a slip in a configuration or a path from filling the memory or the disk before anything is
said. Where a word of a path has a bound of its own, such as the width of a network, it is declared
with the word.
"""

LARGEST = 10**18 - 1
"""The largest whole number that is read from a path or given in a configuration: 18 digits.

It fits into 64 bits, and into the name of a file.
"""

LONGEST_STAGE = 230
"""Bytes in the folder name of a stage.

File systems allow 255 in a name; some are left for what is put around it: ``.log``, and the
``.partial`` of a file that is being written.
"""

LONGEST_RUN = 2400
"""Bytes in the path of a run, of which some sixty stages have room.

Linux allows 4,096 in a path; Snakemake keeps its records in files that are named by the path in
base64, which is a third longer, below the folder that the study runs in.
"""

MOST_EPOCHS = 1_000_000
"""Epochs in a stage: a thousand times the highest rung. Every epoch is a row of the metrics."""

MOST_STEPS = 10**12
"""Steps in a stage whose length is given in them: those of the most epochs, and then some."""

MOST_RUNS = 200_000
"""Runs of all figures together, each role and each seed counted.

Planning takes a second or two for every ten thousand; more are a slip in a grid, whose sizes
multiply.
"""

LONGEST_NAME = 80
"""Characters in a name: of a study, a figure, a role. A file is named so, with something behind."""

MOST_SLOTS = 64
"""Jobs on a GPU: as many looks at sockets as this are nothing, and no GPU serves more."""

MOST_THREADS = 1024
"""More than any machine has cores; Snakemake lowers them to `--cores` besides."""

MOST_OBSERVED = 1_000_000
"""Steps that are observed: each may be a row of the table."""

MOST_A_DECADE = 1000
"""Observations between one power of ten of steps and the next: more than a picture can show."""

MOST_POINTS = 1001
"""Networks on the line between two states."""

MOST_IN_A_GROUP = 1000
"""Figures in a group; a list of a million names would be told of one by one."""

MOST_FINDINGS = 20
"""Mistakes that are told at once: a list of a thousand texts for numbers says the same often."""

MOST_LISTED = 50
"""Known names that the message on an unknown one lists."""
