"""How to cite the papers that the methods come from."""

import re
from typing import Final

_PAPERS: Final = {
    "2601.13572": """@article{yuan2026behavior,
  title         = {Behavior Knowledge Merge in Reinforced Agentic Models},
  author        = {Yuan, Xiangchi and Shi, Dachuan and Zhang, Chunhui and Liu, Zheyuan and Yao, Shenglong and
                   Vosoughi, Soroush and Lee, Wenke},
  year          = {2026},
  eprint        = {2601.13572},
  archivePrefix = {arXiv},
  url           = {https://arxiv.org/abs/2601.13572}
}"""
}


def citations_of(reference: str) -> tuple[str, ...]:
    """BibTeX entries for the arXiv numbers that a method's reference names, as far as they are known."""
    return tuple(_PAPERS[number] for number in re.findall(r"\b\d{4}\.\d{5}\b", reference) if number in _PAPERS)
