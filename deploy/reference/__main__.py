"""``python -m deploy.reference``: write every page that follows from the program."""

from deploy.reference.pages import FOLDER, documents

if __name__ == "__main__":
    for place, text in documents().items():
        (FOLDER / place).write_text(text, "utf-8")
