"""Which images could show a face (PS3.15 §E.3.2, Clean Recognizable Visual Features Option).

Features are not removed here: what could show them is refused. A projection cannot be made a face; a volume can,
unless it is known to be of another part of the body; of photographs and captured screens nothing is known.
"""

from collections.abc import Mapping
from typing import Final

from rayline_deid.profile import BODY_PART_EXAMINED, MODALITY, RECOGNIZABLE_VISUAL_FEATURES, ROWS

#: PS3.3 §C.7.3.1.1.1: projections, cross sections without a surface, microscopy and signals.
_FACELESS: Final = frozenset(
    [
        "BMD",
        "CR",
        "DX",
        "ECG",
        "EEG",
        "EMG",
        "EOG",
        "EPS",
        "HD",
        "IO",
        "IVOCT",
        "IVUS",
        "KO",
        "MG",
        "OPM",
        "OPT",
        "OPTBSV",
        "OPTENF",
        "OCT",
        "PR",
        "PX",
        "RESP",
        "RF",
        "SM",
        "SR",
        "US",
        "XA",
    ]
)
_VOLUMES: Final = frozenset(
    ["CT", "MR", "NM", "PT", "RTDOSE", "RTSTRUCT", "SEG", "REG", "FID", "M3D", "RTIMAGE", "RTPLAN"]
)

#: PS3.16 annex L: defined terms of Body Part Examined at some distance from the head.
_FAR_FROM_THE_HEAD: Final = frozenset(
    [
        "ABDOMEN",
        "ABDOMENPELVIS",
        "ADRENAL",
        "ANKLE",
        "AORTA",
        "APPENDIX",
        "ARM",
        "BILEDUCT",
        "BLADDER",
        "BREAST",
        "BRONCHUS",
        "CALCANEUS",
        "CALF",
        "CHEST",
        "CHESTABDOMEN",
        "CHESTABDPELVIS",
        "COCCYX",
        "COLON",
        "DUODENUM",
        "ELBOW",
        "FEMUR",
        "FIBULA",
        "FINGER",
        "FOOT",
        "FOREARM",
        "GALLBLADDER",
        "HAND",
        "HEART",
        "HIP",
        "HUMERUS",
        "ILEUM",
        "ILIUM",
        "JEJUNUM",
        "KIDNEY",
        "KNEE",
        "LEG",
        "LIVER",
        "LSPINE",
        "LSSPINE",
        "LUNG",
        "PANCREAS",
        "PATELLA",
        "PELVIS",
        "PROSTATE",
        "RADIUS",
        "RADIUSULNA",
        "RECTUM",
        "RIB",
        "SCAPULA",
        "SCROTUM",
        "SIJOINT",
        "SPLEEN",
        "SSPINE",
        "STOMACH",
        "TARSUS",
        "THIGH",
        "THORAX",
        "TIBIA",
        "TIBIAFIBULA",
        "TLSPINE",
        "TOE",
        "TSPINE",
        "ULNA",
        "URETER",
        "UTERUS",
        "WRIST",
    ]
)


def could_show_a_face(facts: Mapping[int, bytes]) -> bool:
    """Whether an image could, by the Modality and Body Part Examined of its header.

    What the header says of itself in Recognizable Visual Features counts only where it says YES.
    """
    if facts.get(RECOGNIZABLE_VISUAL_FEATURES, b"").upper() == b"YES":
        return True
    modality = facts.get(MODALITY, b"").decode("ascii", "replace").upper()
    if modality in _FACELESS:
        return False
    part = (
        facts.get(BODY_PART_EXAMINED, b"")
        .decode("ascii", "replace")
        .upper()
        .replace(" ", "")
        .replace("_", "")
    )
    if modality in _VOLUMES:
        return part not in _FAR_FROM_THE_HEAD
    return ROWS in facts
