"""What this machine is, and what is wrong with it.

    Sources -> Facts -> [Finding]

`facts` looks and judges nothing, the `checks_*` judge and look at nothing, so that any machine can
be judged on any other. What other rooms know (models, voices, the build) comes in as facts.
"""
