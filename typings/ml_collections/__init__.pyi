# What this project uses of ml_collections. The library's own annotations give every value of a configuration the union
# of all types that it can have.
from ml_collections import config_dict as config_dict
from ml_collections.config_dict import ConfigDict as ConfigDict
