"""python -m local.sample is python -m local.sample.generate."""

import sys

from .generate import main

main(sys.argv[1:])
