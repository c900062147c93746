"""A clean environment, from which each test takes one thing away."""

import gymnasium
from gymnasium.spaces import Box, Discrete

import kgdists as kg

STEPS = 200


class Clean(gymnasium.Env):
    """Observes noise in its bounds, rewards noise of size 1, and terminates in one step of ten."""

    observation_space = Box(-1.0, 1.0, (2,), "float32")
    action_space = Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return self.observed(), {}

    def step(self, action):
        self.count += 1
        return self.observed(), float(self.np_random.random()), self.terminates(), False, {}

    def observed(self):
        return self.np_random.uniform(-1.0, 1.0, 2).astype("float32")

    def terminates(self):
        return bool(self.np_random.random() < 0.1)


def changed(change, at=2):
    """A `Clean` whose steps, from the second of an episode on, return what a function makes of it."""

    class Changed(Clean):
        def step(self, action):
            returned = super().step(action)
            return change(*returned) if self.count >= at else returned

    return Changed


def found(env, steps=STEPS, **options):
    """Name -> level of all that is found."""
    return {finding.name: finding.level for finding in kg.envs.check(env, steps=steps, **options).findings}


def text_of(env, name, **options):
    """The line of one finding."""
    (text,) = [x.text for x in kg.envs.check(env, **({"steps": STEPS} | options)).findings if x.name == name]
    assert "\n" not in text
    return text
