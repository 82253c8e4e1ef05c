"""Write tests/data/tokens.json: what the f5-tts package makes of each line of lines.txt.

Run it with the Python of an environment that has f5-tts (`make parity` sets one up):

    PYTHON tests/tools/make_token_goldens.py
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

DATA = Path(__file__).parents[1] / "data"


def main() -> None:
    from f5_tts.model.utils import convert_char_to_pinyin

    lines = DATA.joinpath("lines.txt").read_text(encoding="utf-8").split("\n")[:-1]
    golden = {
        "made_with": {name: version(name) for name in ("f5-tts", "rjieba", "pypinyin")},
        "tokens": [[line, convert_char_to_pinyin([line])[0]] for line in lines],
    }
    rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in golden["tokens"])
    text = f'{{"made_with": {json.dumps(golden["made_with"])},\n"tokens": [\n{rows}\n]}}\n'
    DATA.joinpath("tokens.json").write_text(text, encoding="utf-8")
    print(f"tokens.json: {len(lines)} lines, {golden['made_with']}")


if __name__ == "__main__":
    main()
