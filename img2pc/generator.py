"""Structure generator: one picture → Views at the eight fixed viewpoints.

Source: Lin et al. 2018, sec. 3.1, with the spatial grid kept: 2D convolutions bring the picture to
8×8 tokens, attention moves them to where the viewpoints need them, 2D convolutions draw the maps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from img2pc.views import Views, views_from_depth

# Views i and 7 - i look at the object from opposite sides (cameras.FIXED_VIEWPOINTS).
PAIRS = 4


@dataclass(frozen=True)
class GeneratorConfig:
    """Sizes of a StructureGenerator.

    Attributes:
        image_size: side of the picture, pixels; 16 pixels make a token.
        encoder_channels: at a half, quarter, eighth and sixteenth of the picture's resolution.
        encoder_blocks: residual blocks at each of those resolutions.
        token_width: features of a token.
        attention_layers: transformer layers over the tokens.
        decoder_channels: at twice and four times the token grid's resolution.
        decoder_blocks: residual blocks at each of those.
        head_upsampling: how much finer the maps are than the last decoder grid.
    """

    image_size: int = 128
    encoder_channels: tuple[int, int, int, int] = (32, 64, 128, 256)
    encoder_blocks: tuple[int, int, int, int] = (0, 0, 2, 2)
    token_width: int = 320
    attention_layers: int = 8
    attention_heads: int = 5
    decoder_channels: tuple[int, int] = (192, 128)
    decoder_blocks: tuple[int, int] = (1, 1)
    head_upsampling: int = 4

    @property
    def view_size(self) -> int:
        """Side of the maps, pixels."""
        return self.image_size // 16 * 4 * self.head_upsampling


SIZES = {
    "tiny": GeneratorConfig(
        encoder_channels=(8, 16, 16, 32),
        encoder_blocks=(0, 0, 0, 1),
        token_width=32,
        attention_layers=1,
        attention_heads=2,
        decoder_channels=(16, 16),
        decoder_blocks=(0, 0),
    ),
    "small": GeneratorConfig(),
    "base": GeneratorConfig(
        encoder_channels=(48, 96, 192, 320),
        encoder_blocks=(1, 2, 2, 1),
        token_width=384,
        attention_layers=5,
        attention_heads=6,
        decoder_channels=(224, 128),
        decoder_blocks=(1, 2),
    ),
}


class StructureGenerator(nn.Module):
    """Maps crops (images.network_input) to Views of the eight fixed cameras."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        tokens = config.image_size // 16
        stages: list[nn.Module] = []
        channels = 4
        for width, blocks in zip(config.encoder_channels, config.encoder_blocks, strict=True):
            stages.append(nn.Conv2d(channels, width, 3, stride=2, padding=1))
            # Two convolutions in a row would be one.
            stages += [ResidualBlock(width) for _ in range(blocks)] if blocks else [nn.ReLU()]
            channels = width
        self.encoder = nn.Sequential(*stages)
        self.to_tokens = nn.Linear(channels, config.token_width)
        self.position = nn.Parameter(0.02 * torch.randn(tokens * tokens, config.token_width))
        self.attention = nn.Sequential(
            *(
                AttentionLayer(config.token_width, config.attention_heads)
                for _ in range(config.attention_layers)
            )
        )
        self.token_norm = nn.LayerNorm(config.token_width)
        stages = []
        channels = config.token_width
        for width, blocks in zip(config.decoder_channels, config.decoder_blocks, strict=True):
            stages += [nn.Conv2d(channels, 4 * width, 1), nn.PixelShuffle(2)]
            stages += [ResidualBlock(width) for _ in range(blocks)]
            channels = width
        self.decoder = nn.Sequential(*stages, nn.ReLU())
        # Opposite cameras see one silhouette, mirrored, and the two ends of the same rays: one
        # mask and two depths a pair. A 1×1 convolution and a pixel shuffle cost a tenth of
        # convolutions at the maps' own resolution.
        upsampling = config.head_upsampling
        self.mask_head = nn.Conv2d(channels, PAIRS * upsampling**2, 1)
        self.depth_head = nn.Conv2d(channels, 2 * PAIRS * upsampling**2, 1)
        self.shift_head = nn.Conv2d(channels, 2 * PAIRS * 2, 1)
        for head in (self.depth_head, self.shift_head):
            nn.init.normal_(head.weight, std=0.01)
            nn.init.zeros_(_bias(head))
        nn.init.constant_(_bias(self.mask_head), -2.0)  # most pixels are background

    def forward(self, image: Float[Tensor, "batch 4 size size"]) -> Views:
        return self.decode(self.encode(image))

    def encode(
        self, image: Float[Tensor, "batch 4 size size"]
    ) -> Float[Tensor, "batch token width"]:
        """All that is known of the object, by places of the views' common grid."""
        tokens = self.to_tokens(rearrange(self.encoder(image), "b c h w -> b (h w) c"))
        encoded: Tensor = self.token_norm(self.attention(tokens + self.position))
        return encoded

    def decode(self, tokens: Float[Tensor, "batch token width"]) -> Views:
        grid = rearrange(tokens, "b (h w) c -> b c h w", h=self.config.image_size // 16)
        decoded = self.decoder(grid.contiguous(memory_format=torch.channels_last))
        upsampling = self.config.head_upsampling
        mask = functional.pixel_shuffle(self.mask_head(decoded), upsampling).float()
        depth = 1 + functional.pixel_shuffle(self.depth_head(decoded), upsampling).float()
        # At most half a pixel to either side, one for each cell of the last grid.
        shift = torch.tanh(self.shift_head(decoded).float()) / (2 * self.config.view_size)
        shift = rearrange(shift, "b (view xy) h w -> b xy view h w", xy=2)
        shift = torch.cat([shift[:, :, :PAIRS], shift[:, :, PAIRS:].flip(-1)], 2)
        shift = shift[..., None, :, None].expand(*shift.shape[:4], upsampling, -1, upsampling)
        shift = shift.reshape(*shift.shape[:3], self.config.view_size, self.config.view_size)
        return views_from_depth(
            torch.cat([depth[:, :PAIRS], depth[:, PAIRS:].flip(1, -1)], 1),
            torch.cat([mask, mask.flip(1, -1)], 1),
            shift.movedim(1, -1),
        )


class ResidualBlock(nn.Module):
    """x + conv(act(norm(conv(act(norm(x)))))), 3×3."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.GroupNorm(min(8, channels // 8), channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.GroupNorm(min(8, channels // 8), channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(
        self, features: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch channel height width"]:
        changed: Tensor = self.layers(features)
        return features + changed


class AttentionLayer(nn.Module):
    """Pre-norm transformer layer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(
        self, tokens: Float[Tensor, "batch token width"]
    ) -> Float[Tensor, "batch token width"]:
        query, key, value = rearrange(
            self.query_key_value(self.attention_norm(tokens)),
            "b t (three head c) -> three (b head) t c",
            three=3,
            head=self.heads,
        )
        # PyTorch's own attention takes 7 times as long backwards, for so few tokens on a CPU.
        weights = torch.softmax(query @ key.mT * query.shape[-1] ** -0.5, -1)
        mixed = rearrange(weights @ value, "(b head) t c -> b t (head c)", head=self.heads)
        tokens = tokens + self.project(mixed)
        fed: Tensor = self.feed_forward(tokens)
        return tokens + fed


def _bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias
