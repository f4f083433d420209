"""Stands in for the library where a page is tested and not its drawings: large as asked for, with nothing in them."""


def vegalite_to_svg(spec, **_):
    """An empty drawing."""
    size = [spec["width"], spec["height"]]
    if spec["autosize"] == "none":
        sides = spec["padding"]
        size = [size[0] + sides["left"] + sides["right"], size[1] + sides["top"] + sides["bottom"]]
    return '<svg xmlns="http://www.w3.org/2000/svg" width="{}" height="{}"/>'.format(*size)
