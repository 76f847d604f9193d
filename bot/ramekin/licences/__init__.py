"""What a merge inherits from the licences of its sources. Help, not legal advice."""

from ramekin.licences.catalogue import HUB_IDS, Kind, Licence, find_licence
from ramekin.licences.inheritance import Claim, Inheritance, claims_of, inherit

__all__ = ["HUB_IDS", "Claim", "Inheritance", "Kind", "Licence", "claims_of", "find_licence", "inherit"]
