import atpn_mobile


def test_public_names_are_sorted_and_exist():
    assert atpn_mobile.__all__ == sorted(atpn_mobile.__all__)
    assert all(hasattr(atpn_mobile, name) for name in atpn_mobile.__all__)


def test_the_nouns_of_the_design_are_public():
    nouns = {"Backend", "Detector", "Face", "FaceTracker", "HeadPose", "Roi", "TrackResult"}
    nouns |= {"Expressions", "LatestFrameWorker"}
    assert nouns <= set(atpn_mobile.__all__)
