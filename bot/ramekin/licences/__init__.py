"""What a merge inherits from the licences of its sources. Help, not legal advice.

catalogue (which licences there are, of which kind) -> compatibility (which go together) -> inheritance
"""
