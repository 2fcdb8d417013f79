# A source that pip installs without any network: a module, data, and a program.
mkdir -p /srv/project/greeting && cd /srv/project || exit
cat >setup.py <<'END'
from setuptools import setup
setup(
    name="example-greeting",
    version="1.0",
    packages=["greeting"],
    package_data={"greeting": ["words.txt"]},
    entry_points={"console_scripts": ["example-greeting = greeting:main"]},
)
END
cat >greeting/__init__.py <<'END'
import pathlib


def main():
    print(pathlib.Path(__file__).with_name("words.txt").read_text(), end="")
END
echo 'hello from a package' >greeting/words.txt
