"""Environments stepped one after the other."""

import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv

__all__ = ["SyncEnvs"]


class SyncEnvs(SyncVectorEnv):
    """A `SyncVectorEnv` that resets in the step in which an episode ends, and of infos keeps the final observations.

    Gymnasium stacks infos into arrays, which not all infos can be; agents read none.
    """

    def __init__(self, makers, copy=True):
        made = []
        try:
            super().__init__(
                [lambda make=make: made.append(make()) or made[-1] for make in makers],
                copy=copy,
                autoreset_mode=AutoresetMode.SAME_STEP,
            )
        except BaseException:  # one cannot be made: the others may hold a robot or a licence
            for env in made:
                env.close()
            raise
        self.spec = self.envs[0].spec

    def _add_info(self, vector_infos, env_info, env_num):
        if "final_obs" in env_info and "final_info" in env_info:
            for name, fill in (("final_obs", None), ("_final_obs", False)):
                vector_infos.setdefault(name, np.full(self.num_envs, fill))
            vector_infos["final_obs"][env_num], vector_infos["_final_obs"][env_num] = env_info["final_obs"], True
        return vector_infos
