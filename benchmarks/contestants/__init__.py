"""Programs that do the orders job, each in a fresh process: ``python -m benchmarks.contestants.<name> CSV OUT``.

Each leaves in the folder OUT a result that can be queried and ``found.json``, the numbers it fitted and profiled.
"""
