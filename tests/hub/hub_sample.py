"""A repository as a merge leaves it, for the pages."""

import json
import struct

from ramekin.hub import Store

CARD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
language: [en]
base_model:
  - demo/coder-7b
  - demo/tool-7b
base_model_relation: merge
tags: [merge, ramekin]
---
# Agent 7B

One generalist from three RL agents. It was merged without any training by `ram+`: what one expert alone had changed is
kept whole and strengthened, what several had changed is averaged over those who did, and all else is the base's.

> [!NOTE]
> All numbers on this card were measured while merging; none is copied from a parent.

## Use

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

repo = "demo/agent-7b"
tokenizer = AutoTokenizer.from_pretrained(repo)
model = AutoModelForCausalLM.from_pretrained(repo, dtype="auto", device_map="auto")  # a comment
```

## Made from

| | model | commit | changed | of the model |
|---|---|---|--:|--:|
| base | demo/base-7b | `0123abc` | | |
| coder | demo/coder-7b | `89ab012` | 12,345,678 | 4.1 % |
| tool | demo/tool-7b | `def4567` | 23,456,789 | 7.8 % |

## Overlap

![Overlap of the experts](ramekin/plots/overlap.svg)

Most of what an expert changed, it changed alone.

- [x] every tensor accounted for
- [ ] evaluated on held-out tasks

<details><summary>Lambda per expert</summary>

| expert | rho | lambda |
|---|--:|--:|
| coder | 0.31 | 1.09 |

</details>
"""

PLOT = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 220" width="640" height="220">
<style>text{font:13px sans-serif;fill:#7a6f64}</style>
<g fill="#c2552d"><rect x="120" y="20" width="420" height="30"/><rect x="120" y="90" width="300" height="30"/>
<rect x="120" y="160" width="360" height="30"/></g><g fill="#e9a06c"><rect x="540" y="20" width="60" height="30"/>
<rect x="420" y="90" width="130" height="30"/><rect x="480" y="160" width="90" height="30"/></g>
<text x="40" y="40">coder</text><text x="40" y="110">tool</text><text x="40" y="180">memory</text></svg>"""

HOSTILE = """---
title: <script>document.title = "front"</script>
tags: ["<img src=x onerror=alert(1)>"]
---
# Hostile

<script>document.title = "owned"</script>
<img src="nothing.png" onerror="document.title = 'owned'">
<a id="bad" href="javascript:document.title='owned'">click</a>
<iframe src="/demo/agent-7b"></iframe><svg onload="document.title='owned'"><script>document.title='owned'</script></svg>
<form action="/x"><input name="password"><button>Sign in</button></form>
<div style="position:fixed;inset:0" class="topbar" onclick="document.title='owned'">over everything</div>

![plot](evil.svg)

[md](javascript:document.title='owned')
"""

EVIL_SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>document.title="owned"</script></svg>'


def weights(*names: str) -> bytes:
    header = {
        name: {"dtype": "BF16", "shape": [16, 32], "data_offsets": [1024 * at, 1024 * (at + 1)]}
        for at, name in enumerate(names)
    }
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(1024 * len(names))


def fill(store: Store) -> None:
    """A private merge with a card, a plot and weights; two parents; a hostile card."""
    for name in ("base-7b", "coder-7b", "tool-7b"):
        store.create_repo(f"demo/{name}")
        card = f"---\nlicense: apache-2.0\ntags: [agent]\n---\n# {name}\n"
        store.commit(f"demo/{name}", {"README.md": card, "model.safetensors": weights("model.embed_tokens.weight")})
    store.create_repo("demo/agent-7b", private=True)
    layers = [f"model.layers.{at}.mlp.down_proj.weight" for at in range(12)]
    files = {
        "README.md": CARD,
        "config.json": json.dumps({"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2"}, indent=2),
        "model.safetensors": weights("model.embed_tokens.weight", *layers),
        "ramekin/plots/overlap.svg": PLOT,
        "ramekin/report.json": json.dumps({"schema": 1, "method": {"name": "ram+", "r": 0.1}}, indent=2),
    }
    store.commit("demo/agent-7b", files, message="Merge coder and tool with ram+\n\nKey: sha256:0123456789abcdef")
    store.commit("demo/agent-7b", {"README.md": CARD + "\nMore to come.\n"}, message="Say what comes next")
    store.create_repo("demo/hostile")
    store.commit("demo/hostile", {"README.md": HOSTILE, "evil.svg": EVIL_SVG, "page.html": "<script>alert(1)</script>"})
