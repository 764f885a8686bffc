"""The clickstream job in a process of its own, for tests that kill it: python clickstream_process.py LAKE SCRATCH ARGS…

It says ``ready`` when Spark has started.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from securecart import clickstream
from securecart.objects import LAKE_ROOT_VARIABLE
from spark_session import local_session

if __name__ == "__main__":
    lake, scratch = Path(sys.argv[1]), Path(sys.argv[2])
    os.environ[LAKE_ROOT_VARIABLE] = str(lake)
    local_session(lake, scratch)
    print("ready", flush=True)
    clickstream.main(sys.argv[3:])
