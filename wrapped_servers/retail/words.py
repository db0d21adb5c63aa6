"""What the made-up shop is made of: names of people and places, and the goods it sells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Goods:
    """A product before it has ids: its usual price in dollars, and what one can choose."""

    name: str
    price: float
    options: Mapping[str, tuple[str, ...]]


FIRST_NAMES = (
    "Ada", "Alma", "Anton", "Bea", "Bruno", "Carla", "Cyrus", "Dara", "Dmitri", "Edith", "Elias", "Fay", "Felix",
    "Greta", "Hana", "Hugo", "Ines", "Ivo", "Jonas", "June", "Kai", "Kira", "Lars", "Lena", "Malik", "Mina", "Nadia",
    "Nils", "Omar", "Opal", "Pablo", "Petra", "Quentin", "Rosa", "Rufus", "Selma", "Tariq", "Thea", "Uma", "Viktor",
    "Wanda", "Xenia", "Yann", "Zora",
)  # fmt: skip

LAST_NAMES = (
    "Abbott", "Aydin", "Barros", "Birch", "Castell", "Dorn", "Eklund", "Farrow", "Giordano", "Hale", "Hoshino",
    "Ibarra", "Jansen", "Keller", "Lindqvist", "Moss", "Nakata", "Okafor", "Pereira", "Quist", "Rasmussen", "Sorel",
    "Tanaka", "Ulrich", "Varga", "Whitlock", "Yilmaz", "Zeller",
)  # fmt: skip

STREETS = (
    "Alder Street", "Bridge Road", "Canal Walk", "Dock Street", "Fern Hill", "Garden Row", "Harbor View", "Juniper Way",
    "Kiln Lane", "Meadow Court", "Mill Lane", "Orchard Avenue", "Quarry Road", "Station Square", "Willow Crescent",
)  # fmt: skip

CITIES = (
    ("Portland", "OR", "972"), ("Boise", "ID", "837"), ("Tucson", "AZ", "857"), ("Omaha", "NE", "681"),
    ("Madison", "WI", "537"), ("Richmond", "VA", "232"), ("Savannah", "GA", "314"), ("Albany", "NY", "122"),
    ("Burlington", "VT", "054"), ("Duluth", "MN", "558"), ("El Paso", "TX", "799"), ("Spokane", "WA", "992"),
    ("Mobile", "AL", "366"), ("Fresno", "CA", "937"), ("Topeka", "KS", "666"), ("Akron", "OH", "443"),
)  # fmt: skip
"""City, state and the first digits of its zip codes."""

COLORS = ("black", "white", "moss green", "navy", "rust", "sand")
SIZES = ("S", "M", "L", "XL")

GOODS = (
    Goods("Air Mattress", 89.0, {"size": ("single", "double"), "pump": ("built-in", "none")}),
    Goods("Alarm Clock", 34.0, {"display": ("analog", "digital"), "color": COLORS}),
    Goods("Bread Maker", 129.0, {"capacity": ("500 g", "750 g", "1 kg"), "color": ("black", "white", "steel")}),
    Goods("Camping Stove", 74.0, {"fuel": ("gas", "alcohol", "multi-fuel"), "burners": ("1", "2")}),
    Goods("Cast Iron Pan", 48.0, {"diameter": ("20 cm", "24 cm", "28 cm"), "lid": ("with", "without")}),
    Goods("Ceramic Mug Set", 32.0, {"pieces": ("2", "4", "6"), "color": COLORS}),
    Goods("Chess Computer", 159.0, {"board": ("plastic", "wood"), "level": ("club", "master")}),
    Goods("Cordless Drill", 119.0, {"voltage": ("12 V", "18 V"), "batteries": ("1", "2"), "case": ("yes", "no")}),
    Goods("Desk Fan", 39.0, {"blades": ("3", "5"), "power": ("USB", "mains"), "color": ("black", "white")}),
    Goods("Dumbbell Pair", 64.0, {"weight": ("2 kg", "5 kg", "8 kg"), "coating": ("rubber", "neoprene")}),
    Goods("Ear Buds", 99.0, {"noise cancelling": ("yes", "no"), "color": COLORS}),
    Goods("Fleece Jacket", 84.0, {"size": SIZES, "color": COLORS, "hood": ("yes", "no")}),
    Goods("Folding Bike", 640.0, {"wheels": ("16-inch", "20-inch"), "gears": ("1", "7"), "color": ("black", "rust")}),
    Goods("Food Processor", 139.0, {"bowl": ("1.5 l", "2.4 l"), "power": ("600 W", "900 W")}),
    Goods("Garden Hose", 42.0, {"length": ("10 m", "20 m", "30 m"), "reel": ("with", "without")}),
    Goods("Guitar Tuner", 24.0, {"type": ("clip-on", "pedal"), "color": ("black", "white")}),
    Goods("Hammock", 58.0, {"material": ("cotton", "nylon"), "stand": ("with", "without"), "color": COLORS}),
    Goods("Hand Blender", 54.0, {"power": ("400 W", "800 W"), "attachments": ("1", "3", "5")}),
    Goods("Inkjet Printer", 149.0, {"functions": ("print", "print and scan"), "connection": ("USB", "Wi-Fi")}),
    Goods("Kayak Paddle", 79.0, {"length": ("220 cm", "230 cm", "240 cm"), "shaft": ("aluminium", "carbon")}),
    Goods("Knife Block", 109.0, {"knives": ("4", "6", "8"), "wood": ("beech", "walnut")}),
    Goods("Laser Measure", 69.0, {"range": ("30 m", "50 m", "80 m"), "bluetooth": ("yes", "no")}),
    Goods("Linen Bedding", 134.0, {"size": ("twin", "queen", "king"), "color": COLORS}),
    Goods("Merino Socks", 22.0, {"size": ("36-39", "40-43", "44-47"), "pairs": ("1", "3"), "color": ("grey", "rust")}),
    Goods("Monitor Arm", 94.0, {"screens": ("1", "2"), "mount": ("clamp", "grommet")}),
    Goods("Night Light", 19.0, {"sensor": ("motion", "dusk"), "light": ("warm", "red")}),
    Goods("Picnic Blanket", 36.0, {"size": ("150 cm", "200 cm"), "pattern": ("stripes", "checks", "plain")}),
    Goods("Pour-Over Set", 44.0, {"cups": ("2", "4"), "material": ("glass", "ceramic"), "filter": ("paper", "steel")}),
    Goods("Rain Jacket", 112.0, {"size": SIZES, "color": COLORS, "lining": ("mesh", "none")}),
    Goods("Record Player", 219.0, {"drive": ("belt", "direct"), "speakers": ("built-in", "none")}),
    Goods("Rice Cooker", 79.0, {"cups": ("3", "5", "10"), "timer": ("yes", "no")}),
    Goods("Sewing Machine", 239.0, {"stitches": ("20", "40", "80"), "case": ("soft", "hard")}),
    Goods("Sleeping Bag", 124.0, {"warmth": ("summer", "three seasons", "winter"), "length": ("regular", "long")}),
    Goods("Standing Desk", 429.0, {"width": ("120 cm", "140 cm", "160 cm"), "top": ("oak", "white", "black")}),
    Goods("Star Chart", 27.0, {"hemisphere": ("north", "south"), "frame": ("with", "without")}),
    Goods("Table Tennis Set", 46.0, {"bats": ("2", "4"), "net": ("yes", "no")}),
    Goods("Tool Belt", 52.0, {"material": ("leather", "canvas"), "pockets": ("6", "10", "14")}),
    Goods("Travel Pillow", 29.0, {"filling": ("foam", "air", "beads"), "color": COLORS}),
    Goods("Wall Shelf", 62.0, {"length": ("60 cm", "80 cm", "100 cm"), "wood": ("oak", "pine", "walnut")}),
    Goods("Yoga Mat", 41.0, {"thickness": ("4 mm", "6 mm"), "material": ("cork", "rubber"), "color": ("sand", "navy")}),
)
