"""A SQLAlchemy application: tables made and reflected, objects and their relations, transactions, and migrations by
Alembic; each step is named on one line.

usage: app_sqlalchemy.py HOST USER PASSWORD SCHEMA pymysql|mysqldb|mysqlconnector
A step that fails ends the program with exit status 1.
"""
import datetime
import sys
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Optional

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy import func, select
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import (
    DeclarativeBase, Mapped, Session, aliased, joinedload, mapped_column, relationship, selectinload, subqueryload,
)

host, user, password, schema, driver = sys.argv[1:6]
url = sa.URL.create(f"mysql+{driver}", user, password, host, database=schema, query={"charset": "utf8mb4"})
engine = sa.create_engine(url, pool_pre_ping=True, pool_recycle=3600)


class Base(DeclarativeBase):
    pass


book_tags = sa.Table(
    "book_tags", Base.metadata,
    sa.Column("book_id", sa.ForeignKey("books.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("tag_id", sa.ForeignKey("tags.id"), primary_key=True),
)


class Author(Base):
    __tablename__ = "authors"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(80), unique=True)
    born: Mapped[Optional[datetime.date]]
    books: Mapped[list["Book"]] = relationship(back_populates="author", cascade="all, delete-orphan")


class Book(Base):
    __tablename__ = "books"
    __table_args__ = (
        sa.Index("by_price", "price", "title"), sa.CheckConstraint("price >= 0", name="price_is_not_negative"),
        {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "comment": "what's on the shelves"},
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(sa.String(120))
    price: Mapped[Decimal] = mapped_column(sa.Numeric(8, 2), server_default="0")
    kind: Mapped[str] = mapped_column(sa.Enum("paper", "disc", name="kind"), default="paper")
    details: Mapped[Optional[dict]] = mapped_column(sa.JSON)
    cover: Mapped[Optional[bytes]] = mapped_column(sa.LargeBinary)
    added: Mapped[datetime.datetime] = mapped_column(sa.TIMESTAMP, server_default=func.now())
    author_id: Mapped[int] = mapped_column(sa.ForeignKey("authors.id"))
    author: Mapped[Author] = relationship(back_populates="books")
    tags: Mapped[list["Tag"]] = relationship(secondary=book_tags, lazy="selectin")


class Tag(Base):
    __tablename__ = "tags"
    id: Mapped[int] = mapped_column(primary_key=True)
    word: Mapped[str] = mapped_column(sa.String(40).with_variant(mysql.VARCHAR(40, collation="utf8mb4_bin"), "mysql"))


def create_all():
    Base.metadata.create_all(engine)
    Base.metadata.create_all(engine)


def objects():
    with Session(engine) as session:
        new, old = Tag(word="new"), Tag(word="it's \\ \"old\" 100% ☕")
        ada = Author(name="Ada", born=datetime.date(1815, 12, 10))
        for n in range(6):
            tags = [new] if n % 2 else [new, old]
            book = Book(title=f"Volume {n}", price=n, details={"n": n, "s": "'\\"}, cover=bytes(range(256)), tags=tags)
            ada.books.append(book)
        session.add_all([ada, Author(name="Grace")])
        session.commit()
        book = session.get(Book, 1)
        book.title, book.author = "changed", session.scalars(select(Author).filter_by(name="Grace")).one()
        session.flush()
        session.refresh(book, with_for_update=True)
        session.delete(session.get(Book, 2))
        session.commit()


def queries():
    writer = aliased(Author)
    with Session(engine) as session:
        for option in [joinedload(Author.books), selectinload(Author.books), subqueryload(Author.books)]:
            session.scalars(select(Author).options(option).order_by(Author.name)).unique().all()
            session.expire_all()
        [tag.word for book in session.scalars(select(Book)) for tag in book.tags]
        statements = [
            select(Book.title, writer.name).join(writer, Book.author_id == writer.id).where(Book.title.ilike("vol%")),
            select(func.count(), func.max(Book.price), func.group_concat(Book.title)).group_by(Book.author_id),
            select(Author.name, func.count(Book.id)).outerjoin(Author.books).group_by(Author.id).having(func.count(Book.id) > 0),
            select(Book).where(Book.author.has(Author.name == "Ada"), Book.tags.any(Tag.word == "new")),
            select(Book.title).where(Book.id.in_(select(book_tags.c.book_id).scalar_subquery())).limit(2).offset(1),
            select(sa.case((Book.price > 2, "dear"), else_="cheap"), Book.details["n"].as_integer()).distinct(),
            select(func.row_number().over(partition_by=Book.author_id, order_by=Book.price.desc()), Book.title),
            select(Book.title).where(Book.title.match("volume")) if False else select(Book.title).where(Book.title.regexp_match("^V")),
            sa.union_all(select(Book.title), select(Author.name)).order_by("title").limit(3),
            select(sa.literal("a\\b'c").concat(Book.title), sa.cast(Book.price, sa.Integer), sa.extract("year", Book.added)),
            select(Book).with_for_update(read=True), select(Book).with_for_update(nowait=True, of=Book) if False else select(Book),
        ]
        for statement in statements:
            session.execute(statement).all()
        chain = select(Book.id.label("n")).where(Book.id == 1).cte("chain", recursive=True)
        chain = chain.union_all(select(chain.c.n + 1).where(chain.c.n < 3))
        session.execute(select(chain.c.n)).all()
        cheap = select(Book).where(Book.price < 3).subquery()
        session.execute(select(cheap.c.title, sa.exists().where(Tag.id == 1))).all()


def changes():
    insert = mysql.insert(Author).values([{"name": "Ada"}, {"name": "Edsger"}])
    with engine.begin() as connection:
        connection.execute(insert.on_duplicate_key_update(name=insert.inserted.name))
        connection.execute(sa.insert(Tag), [{"word": f"many {n}"} for n in range(20)])
        connection.execute(sa.update(Book).where(Book.price < 3).values(price=Book.price + 1))
        connection.execute(sa.update(Tag).values(word=func.concat(Tag.word, "!")).where(Tag.id.in_(select(book_tags.c.tag_id))))
        connection.execute(sa.delete(Tag).where(Tag.word.like("many %")))
        connection.execute(sa.insert(Tag).from_select(["word"], select(Author.name)))
        connection.execute(sa.text("SELECT id FROM authors WHERE name = :name"), {"name": "o'Brien \\"}).all()


def transactions():
    with Session(engine) as session:
        with session.begin():
            session.add(Tag(word="outer"))
            with session.begin_nested() as inner:
                session.add(Tag(word="inner"))
                session.flush()
                inner.rollback()
        assert session.scalars(select(Tag).filter_by(word="inner")).first() is None
    serial = engine.execution_options(isolation_level="SERIALIZABLE")
    with serial.begin() as connection:
        connection.execute(select(Tag)).first()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.insert(Tag).values(word="at once"))
    with engine.begin() as connection:
        rows = connection.execution_options(stream_results=True, yield_per=2).execute(select(Book))
        assert len(list(rows)) > 1
    try:
        with engine.begin() as connection:
            connection.execute(sa.insert(Author).values(name="Ada"))
        raise SystemExit("a duplicate was taken")
    except sa.exc.IntegrityError:
        pass


def reflection():
    inspector = sa.inspect(engine)
    assert {"authors", "books", "tags", "book_tags"} <= set(inspector.get_table_names())
    inspector.get_schema_names(), inspector.get_view_names(), inspector.default_schema_name
    for table in inspector.get_table_names():
        inspector.get_columns(table), inspector.get_pk_constraint(table), inspector.get_foreign_keys(table)
        inspector.get_indexes(table), inspector.get_unique_constraints(table), inspector.get_check_constraints(table)
        inspector.get_table_options(table), inspector.get_table_comment(table), inspector.has_table(table)
    metadata = sa.MetaData()
    metadata.reflect(engine)
    assert "books" in metadata.tables
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE VIEW cheap AS SELECT title FROM books WHERE price < 3"))
    assert sa.inspect(engine).get_view_names() == ["cheap"]
    sa.inspect(engine).get_view_definition("cheap")
    sa.Table("cheap", sa.MetaData(), autoload_with=engine)
    with engine.begin() as connection:
        connection.execute(sa.text("SELECT * FROM cheap")).all()
        connection.execute(sa.text("DROP VIEW cheap"))


ENVIRONMENT = """
from alembic import context
config = context.config
connection = config.attributes["connection"]
context.configure(connection=connection, target_metadata=config.attributes["metadata"], compare_server_default=True)
with context.begin_transaction():
    context.run_migrations()
"""
MIGRATION = '''
import sqlalchemy as sa
from alembic import op
revision, down_revision, branch_labels, depends_on = "2", "1", None, None

def upgrade():
    op.create_table("loans", sa.Column("id", sa.Integer, primary_key=True), sa.Column("book_id", sa.Integer),
                    sa.Column("until", sa.DateTime, server_default=sa.func.now()), comment="it's lent")
    op.create_foreign_key("loan_of", "loans", "books", ["book_id"], ["id"], ondelete="SET NULL")
    op.add_column("books", sa.Column("pages", sa.Integer(), nullable=False, server_default="1"))
    op.alter_column("books", "pages", existing_type=sa.Integer(), type_=sa.BigInteger(), nullable=True, server_default=None)
    op.alter_column("books", "pages", new_column_name="sheets", existing_type=sa.BigInteger())
    op.create_index("by_sheets", "books", ["sheets"], unique=False)
    op.create_unique_constraint("one_title", "books", ["title", "author_id"])
    op.bulk_insert(sa.table("tags", sa.column("word")), [{"word": "migrated"}, {"word": "it's"}])
    op.execute("UPDATE books SET sheets = 100 WHERE sheets IS NULL")
    op.create_table_comment("tags", "words", existing_comment=None)
    op.rename_table("loans", "lent")

def downgrade():
    op.rename_table("lent", "loans")
    op.drop_constraint("one_title", "books", type_="unique")
    op.drop_index("by_sheets", table_name="books")
    op.drop_column("books", "sheets")
    op.drop_constraint("loan_of", "loans", type_="foreignkey")
    op.drop_table("loans")
'''


def migrations():
    with tempfile.TemporaryDirectory() as folder, engine.connect() as connection:
        (Path(folder) / "versions").mkdir()
        (Path(folder) / "env.py").write_text(ENVIRONMENT)
        nothing = "revision, down_revision, branch_labels, depends_on = '1', None, None, None\ndef upgrade(): pass\ndef downgrade(): pass\n"
        (Path(folder) / "versions/1.py").write_text(nothing)
        (Path(folder) / "versions/2.py").write_text(MIGRATION)
        config = Config()
        config.set_main_option("script_location", folder)
        config.set_main_option("path_separator", "os")
        config.attributes.update(connection=connection, metadata=Base.metadata)
        for step in [("stamp", "1"), ("upgrade", "head"), ("downgrade", "-1"), ("upgrade", "head")]:
            getattr(command, step[0])(config, step[1])
        command.current(config)
        try:
            command.check(config)
        except Exception as error:
            assert "New upgrade operations" in str(error), error
        command.downgrade(config, "base")
        connection.commit()


def drop_all():
    Base.metadata.drop_all(engine)


for step in [create_all, objects, queries, changes, transactions, reflection, migrations, drop_all]:
    step()
    print(step.__name__, flush=True)
engine.dispose()
