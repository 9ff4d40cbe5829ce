"""Drawn scenes, of which all is known that a photograph hides."""

from models.scenes.draw import BACKGROUNDS as BACKGROUNDS
from models.scenes.draw import CLASSES as CLASSES
from models.scenes.draw import Scene as Scene
from models.scenes.draw import draw as draw
from models.scenes.textures import SIDE as SIDE
