"""Recurrent PPO as Stable-Baselines3 ships it: how far back the actor learns, which is never past an episode's start.

Needs `pip install sb3-contrib`. Run `python examples/torch_recurrent_ppo.py`.
"""

from __future__ import annotations

import numpy as np
from sb3_contrib import RecurrentPPO

import rnngraph as rg


def main() -> None:
    """Learn for two rollouts inside the block; the last minibatch is traced."""
    model = RecurrentPPO("MlpLstmPolicy", "CartPole-v1", n_steps=128, batch_size=128, n_epochs=2, seed=0, device="cpu")
    with rg.torch.watch(model.policy) as watch:
        model.learn(256)
    print(watch)
    trace = watch.trace()
    print(f"{watch.passes.count} backward passes ran; {trace.notes[0]}")
    for lag in trace.lags:
        reach = lag.arrivals[:, :, None] - np.arange(trace.timesteps)
        arrived = np.isfinite(lag.log[:, :, 1:]) & (reach >= 0)
        print(f"{lag.state}: a loss is felt at most {int(reach[arrived].max())} steps back")


if __name__ == "__main__":
    main()
