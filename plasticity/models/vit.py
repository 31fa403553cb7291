"""Vision transformers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from plasticity.models.network import Network
from plasticity.models.resnet import Output

HEAD = 64
"""Features of an attention head, as in all of the published sizes."""

STD = 0.02
"""The standard deviation of initial weights, as in the public code of Touvron et al."""


class Embedding(nn.Module):
    """Patches to features, a class token in front of them, and a learned position added to each."""

    def __init__(self, channels: int, patch: int, patches: int, width: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(channels, width, patch, patch)
        self.token = nn.Parameter(torch.empty(1, 1, width))
        self.position = nn.Parameter(torch.empty(1, patches + 1, width))

    def reset_parameters(self) -> None:
        """Draw the class token and the positions from torch's global generator."""
        nn.init.trunc_normal_(self.token, std=STD)
        nn.init.trunc_normal_(self.position, std=STD)

    def forward(self, images: Tensor) -> Tensor:
        """[n, channels, h, w] to [n, patches + 1, width]."""
        patches = self.projection(images).flatten(2).transpose(1, 2)
        return torch.cat([self.token.expand(len(images), -1, -1), patches], 1) + self.position


class Attention(nn.Module):
    """Self-attention of several heads."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.inputs = nn.Linear(width, 3 * width)  # queries, keys, values
        self.outputs = nn.Linear(width, width)

    def forward(self, features: Tensor) -> Tensor:
        """[n, tokens, width] to the same."""
        parts = self.inputs(features).unflatten(-1, (3, self.heads, -1))
        queries, keys, values = parts.permute(2, 0, 3, 1, 4)
        attended = scaled_dot_product_attention(queries, keys, values)
        outputs: Tensor = self.outputs(attended.transpose(1, 2).flatten(2))
        return outputs


class TransformerBlock(nn.Module):
    """Attention, then two layers with GELU; each normalises first and adds its input."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.normalisation1 = nn.LayerNorm(width, eps=1e-6)
        self.attention = Attention(width, heads)
        self.normalisation2 = nn.LayerNorm(width, eps=1e-6)
        self.hidden = nn.Linear(width, 4 * width)
        self.outputs = nn.Linear(4 * width, width)

    def forward(self, features: Tensor) -> Tensor:
        """[n, tokens, width] to the same."""
        features = features + self.attention(self.normalisation1(features))
        hidden = gelu(self.hidden(self.normalisation2(features)))
        outputs: Tensor = features + self.outputs(hidden)
        return outputs


class Classifier(nn.Module):
    """The class token, normalised, and a linear layer."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.normalisation = nn.LayerNorm(width, eps=1e-6)
        self.output = Output(width, classes)

    def forward(self, features: Tensor) -> Tensor:
        """[n, tokens, width] to logits [n, classes]."""
        return self.output(self.normalisation(features[:, 0]))  # type: ignore[no-any-return]


class VisionTransformer(Network):
    """The network of Dosovitskiy et al. 2021, in the sizes of Touvron et al. 2021 ("DeiT").

    1 is the embedding of patches of `patch` x `patch` pixels, with class token and positions; then
    `depth` blocks with `width` features, in heads of at least 64 features each; the last one is the
    normalisation and the linear output layer. Normalisation comes before each layer; there is no
    dropout. Raises `ValueError` where no whole patches fit `image`, height and width.
    """

    def __init__(
        self, classes: int, channels: int, image: tuple[int, int], *, patch: int, depth: int,
        width: int,
    ) -> None:  # fmt: skip
        super().__init__()
        most = max(1, width // HEAD)
        heads = next(n for n in range(most, 0, -1) if width % n == 0)
        patches = (image[0] // patch) * (image[1] // patch)
        self.numbered = nn.ModuleList(
            [
                Embedding(channels, patch, patches, width),
                *(TransformerBlock(width, heads) for _ in range(depth)),
                Classifier(width, classes),
            ]
        )

    def draw_layer(self, layer: nn.Conv2d | nn.Linear, generator: torch.Generator) -> None:
        """Draw weights from a normal distribution of deviation `STD`; biases are zero.

        As in the public code of Touvron et al.; there the projection of patches keeps PyTorch's
        default, as here.
        """
        if isinstance(layer, nn.Conv2d):
            super().draw_layer(layer, generator)
            return
        # Drawn aside, in the order of the indices, as `draw_uniform`.
        drawn = torch.empty(layer.weight.shape)
        layer.weight.copy_(nn.init.trunc_normal_(drawn, std=STD, generator=generator))
        if layer.bias is not None:
            layer.bias.zero_()
