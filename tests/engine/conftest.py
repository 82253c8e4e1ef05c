"""Small models gain nothing from a second core, and lose much where it is busy."""

import torch

torch.set_num_threads(1)
