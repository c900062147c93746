"""Environments stepped one after the other."""

import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv

__all__ = ["SyncEnvs"]


class SyncEnvs(SyncVectorEnv):
    """A `SyncVectorEnv` that resets in the step in which an episode ends, and of infos keeps the final observations.

    Gymnasium stacks infos into arrays, which not all infos can be; agents read none.
    """

    def __init__(self, makers, copy=True):
        super().__init__(makers, copy=copy, autoreset_mode=AutoresetMode.SAME_STEP)
        self.spec = self.envs[0].spec

    def _add_info(self, vector_infos, env_info, env_num):
        if "final_obs" in env_info and "final_info" in env_info:
            for name, fill in (("final_obs", None), ("_final_obs", False)):
                vector_infos.setdefault(name, np.full(self.num_envs, fill))
            vector_infos["final_obs"][env_num], vector_infos["_final_obs"][env_num] = env_info["final_obs"], True
        return vector_infos
