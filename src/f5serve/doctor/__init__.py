"""The doctor: what this machine is, and what is wrong with it.

    Sources -> Facts -> [Finding] -> Report

`probes` and `service_probes` collect facts, the `checks_*` and `flash_attn` turn facts into
findings of the table in findings.toml; `report` runs all of it.
"""
