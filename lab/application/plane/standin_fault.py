"""A release broken in one way, for the lab's tests: PLANE_STANDIN_FAULT is no-boot, slow-boot, health-500 or unset."""

import os
import time

FAULT = os.environ.get("PLANE_STANDIN_FAULT", "")
SLOW_SECONDS = 20


def at_boot():
    if FAULT == "no-boot":
        raise RuntimeError("this release does not boot")
    if FAULT == "slow-boot":
        time.sleep(SLOW_SECONDS)


def health_status():
    return 500 if FAULT == "health-500" else 200
