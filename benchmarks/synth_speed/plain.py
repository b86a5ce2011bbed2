"""The same network trained as diffusers' unconditional example does it: float32, channels first, AdamW, mean squared error, EMAModel, a DataLoader."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from synthesis.network import SCHEDULE
from synthesis.recipe import GeneratorSettings


class PlainTraining:
    """Takes one step a call."""

    def __init__(self, network: Any, images: Any, labels: Any, settings: GeneratorSettings) -> None:
        import torch
        from diffusers import DDPMScheduler, UNet2DModel
        from diffusers.optimization import get_scheduler
        from diffusers.training_utils import EMAModel

        self.network = UNet2DModel.from_config(network.config).train()
        self.scheduler = DDPMScheduler(**SCHEDULE)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6, eps=1e-8)
        self.rates = get_scheduler("cosine", self.optimizer, num_warmup_steps=500, num_training_steps=settings.steps)
        self.average = EMAModel(self.network.parameters(), decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75)
        loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images, labels), batch_size=settings.batch_size, shuffle=True, drop_last=True)
        self.batches = _endless(loader)

    def step(self) -> None:
        """Draw a batch, learn from it, move the average."""
        import torch

        clean, labels = next(self.batches)
        noise = torch.randn(clean.shape)
        timesteps = torch.randint(0, self.scheduler.config.num_train_timesteps, (len(clean),)).long()
        predicted = self.network(self.scheduler.add_noise(clean, noise, timesteps), timesteps, labels).sample
        loss = torch.nn.functional.mse_loss(predicted, self.scheduler.get_velocity(clean, noise, timesteps))
        loss.backward()  # type: ignore[no-untyped-call]  # torch does not type it
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.rates.step()
        self.optimizer.zero_grad()
        self.average.step(self.network.parameters())


def _endless(loader: Any) -> Iterator[Any]:
    while True:
        yield from loader
