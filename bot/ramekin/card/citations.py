"""How to cite the papers that the methods come from."""

import re
from typing import Final

_PAPERS: Final = {
    "2601.07309": """@article{feng2026arm,
  title         = {ARM: Role-Conditioned Neuron Transplantation for Training-Free Generalist LLM Agent Merging},
  author        = {Feng, Zhuoka and Chen, Kang and Zhao, Sihan and Xiong, Kai and Wang, Yaoning and Yu, Minshen and
                   Nian, Junjie and Xiao, Changyi and Cao, Yixin and Jiang, Yugang},
  year          = {2026},
  eprint        = {2601.07309},
  archivePrefix = {arXiv},
  url           = {https://arxiv.org/abs/2601.07309}
}""",
    "2601.13572": """@article{yuan2026behavior,
  title         = {Behavior Knowledge Merge in Reinforced Agentic Models},
  author        = {Yuan, Xiangchi and Shi, Dachuan and Zhang, Chunhui and Liu, Zheyuan and Yao, Shenglong and
                   Vosoughi, Soroush and Lee, Wenke},
  year          = {2026},
  eprint        = {2601.13572},
  archivePrefix = {arXiv},
  url           = {https://arxiv.org/abs/2601.13572}
}""",
    "2203.05482": """@article{wortsman2022soups,
  title         = {Model soups: averaging weights of multiple fine-tuned models improves accuracy without increasing
                   inference time},
  author        = {Wortsman, Mitchell and Ilharco, Gabriel and Gadre, Samir Yitzhak and Roelofs, Rebecca and
                   Gontijo-Lopes, Raphael and Morcos, Ari S. and Namkoong, Hongseok and Farhadi, Ali and
                   Carmon, Yair and Kornblith, Simon and Schmidt, Ludwig},
  year          = {2022},
  eprint        = {2203.05482},
  archivePrefix = {arXiv},
  url           = {https://arxiv.org/abs/2203.05482}
}""",
    "2212.04089": """@article{ilharco2022editing,
  title         = {Editing Models with Task Arithmetic},
  author        = {Ilharco, Gabriel and Ribeiro, Marco Tulio and Wortsman, Mitchell and Gururangan, Suchin and
                   Schmidt, Ludwig and Hajishirzi, Hannaneh and Farhadi, Ali},
  year          = {2022},
  eprint        = {2212.04089},
  archivePrefix = {arXiv},
  url           = {https://arxiv.org/abs/2212.04089}
}""",
    "2306.01708": """@article{yadav2023ties,
  title         = {TIES-Merging: Resolving Interference When Merging Models},
  author        = {Yadav, Prateek and Tam, Derek and Choshen, Leshem and Raffel, Colin and Bansal, Mohit},
  year          = {2023},
  eprint        = {2306.01708},
  archivePrefix = {arXiv},
  url           = {https://arxiv.org/abs/2306.01708}
}""",
    "2311.03099": """@article{yu2023language,
  title         = {Language Models are Super Mario: Absorbing Abilities from Homologous Models as a Free Lunch},
  author        = {Yu, Le and Yu, Bowen and Yu, Haiyang and Huang, Fei and Li, Yongbin},
  year          = {2023},
  eprint        = {2311.03099},
  archivePrefix = {arXiv},
  url           = {https://arxiv.org/abs/2311.03099}
}""",
    "2403.19522": """@article{jang2024model,
  title         = {Model Stock: All we need is just a few fine-tuned models},
  author        = {Jang, Dong-Hwan and Yun, Sangdoo and Han, Dongyoon},
  year          = {2024},
  eprint        = {2403.19522},
  archivePrefix = {arXiv},
  url           = {https://arxiv.org/abs/2403.19522}
}""",
}


def citations_of(reference: str) -> tuple[str, ...]:
    """BibTeX entries for the arXiv numbers that a method's reference names, as far as they are known."""
    return tuple(_PAPERS[number] for number in re.findall(r"\b\d{4}\.\d{5}\b", reference) if number in _PAPERS)
