"""Half an hour on a machine with a GPU: sections that measure, a runner, and the page they fill.

bash bench/gpu/run.sh --list    the plan, with what each section may take
"""
