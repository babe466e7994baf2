"""A Django project: migrations there and back, relations, bulk operations, nested transactions, integrity errors."""
import datetime
import os
import sys
import uuid
from decimal import Decimal

from psycopg import conninfo

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import django
from django.conf import settings
from django.core.management import call_command

given = conninfo.conninfo_to_dict(sys.argv[1])
settings.configure(
    DATABASES={"default": {
        "ENGINE": "django.db.backends.postgresql", "NAME": given["dbname"], "USER": given["user"],
        "PASSWORD": given.get("password", ""), "HOST": given["host"], "PORT": given["port"]}},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "shop"],
    USE_TZ=True, TIME_ZONE="Europe/Berlin", DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"])
django.setup()

from django.contrib.auth.models import Group, Permission, User
from django.db import IntegrityError, connection, transaction
from django.db.models import Avg, Case, Count, Exists, F, OuterRef, Prefetch, Q, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce, TruncMonth, Upper
from shop.models import Author, Book, Profile, Tag

call_command("migrate", verbosity=0)
call_command("makemigrations", "--check", "--dry-run", verbosity=0)
call_command("migrate", "shop", "0001", verbosity=0)
call_command("migrate", verbosity=0)
assert not call_command("check")
assert sorted(connection.introspection.table_names())[-3:] == ["shop_book_tags", "shop_profile", "shop_tag"]
with connection.cursor() as cursor:
    keys = connection.introspection.get_constraints(cursor, "shop_book")
assert keys["one_title_per_author"]["unique"] and keys["one_title_per_author"]["columns"] == ["author_id", "title"]
assert keys["discount_below_price"]["check"] and any(key["foreign_key"] == ("shop_author", "id") for key in keys.values())
assert any(key["primary_key"] and key["columns"] == ["id"] for key in keys.values())

# Objects, one and many.
Author.objects.filter(name__startswith="Old").delete()
ann = Author.objects.create(name="Ann", email="ann@example.org", born=datetime.date(1970, 1, 2), rating=Decimal("4.5"))
ben = Author(name="Ben", email="ben@example.org")
ben.save()
assert ben.pk == ann.pk + 1 and Author.objects.get(pk=ann.pk).rating == Decimal("4.50")
Profile.objects.create(author=ann, extra={"likes": ["a", 1, None], "deep": {"x": True}})
books = Book.objects.bulk_create([
    Book(code=uuid.UUID(int=n), title=f"Book {n}", author=(ann, ben)[n % 2], price=n, stock=n * 2,
         printed=datetime.timedelta(days=n, seconds=5)) for n in range(1, 51)])
assert len({book.pk for book in books}) == 50 and Book.objects.count() == 50
tags = Tag.objects.bulk_create([Tag(slug=slug) for slug in ("red", "green", "blue")])
assert len(Tag.objects.bulk_create([Tag(slug="red"), Tag(slug="black")], ignore_conflicts=True)) == 2
assert Tag.objects.count() == 4
for book in books[:10]:
    book.tags.set(tags[: book.pk % 3 + 1])
books[0].tags.add("black")
assert set(books[0].tags.values_list("slug", flat=True)) >= {"black", "red"}
books[0].tags.remove("black")
books[1].sequel_of = books[0]
books[1].save()

for book in books:
    book.stock += 1
    book.title = book.title.upper()
assert Book.objects.bulk_update(books, ["stock", "title"], batch_size=20) == 50
assert Book.objects.filter(title="BOOK 7", stock=15).exists()
assert Book.objects.filter(price__gt=40).update(stock=F("stock") + 10, active=Case(When(price=50, then=Value(False)), default=Value(True))) == 10
Book.objects.bulk_create(
    [Book(code=uuid.UUID(int=n), title=f"Upsert {n}", author=ann, price=n) for n in (50, 60)],
    update_conflicts=True, unique_fields=["code"], update_fields=["title", "price"])
assert Book.objects.get(code=uuid.UUID(int=50)).title == "Upsert 50" and Book.objects.count() == 51

# Queries.
assert Author.objects.annotate(n=Count("books"), total=Sum("books__price")).order_by("name").values_list("name", "n", "total")[0] == ("Ann", 26, Decimal("710.00"))
assert Book.objects.select_related("author__profile").get(title="BOOK 2").author.profile.extra["deep"] == {"x": True}
with_tags = Author.objects.prefetch_related(Prefetch("books", Book.objects.prefetch_related("tags").order_by("pk"))).order_by("pk")
assert sum(len(book.tags.all()) for author in with_tags for book in author.books.all()) == sum(b.pk % 3 + 1 for b in books[:10])
assert Book.objects.filter(tags__slug="blue").distinct().count() == sum(b.pk % 3 == 2 for b in books[:10])
newest = Book.objects.filter(author=OuterRef("pk")).order_by("-price")
assert list(Author.objects.annotate(top=Subquery(newest.values("title")[:1])).order_by("pk").values_list("top", flat=True)) == ["Upsert 60", "BOOK 49"]
assert Author.objects.filter(Exists(Book.objects.filter(author=OuterRef("pk"), stock__gt=100))).count() == 2
assert Book.objects.filter(Q(title__icontains="book 1") | Q(title__istartswith="UPS"), ~Q(author__name="Ben")).count() == 7
assert Book.objects.aggregate(a=Avg("price"), s=Coalesce(Sum("stock", filter=Q(price__lt=0)), 0))["s"] == 0
assert Book.objects.filter(code=uuid.UUID(int=3)).values_list("printed", flat=True)[0] == datetime.timedelta(days=3, seconds=5)
assert Author.objects.annotate(m=TruncMonth("created"), u=Upper("name")).get(pk=ann.pk).u == "ANN"
assert Author.objects.values("born__year").annotate(n=Count("*")).order_by("born__year")[0] == {"born__year": 1970, "n": 1}
assert len(Book.objects.order_by("-price", "pk")[5:15]) == 10 and Book.objects.in_bulk([books[3].pk])[books[3].pk].title == "BOOK 4"
assert list(Book.objects.iterator(chunk_size=7))[0].pk
assert Author.objects.filter(pk__in=Book.objects.filter(stock__lt=0).values("author")).count() == 0
assert list(Author.objects.values_list("name").union(Tag.objects.values_list("slug")).order_by("name"))[0] == ("Ann",)

# Get or create, update or create.
author, made = Author.objects.get_or_create(email="cy@example.org", defaults={"name": "Cy"})
assert made and Author.objects.get_or_create(email="cy@example.org", defaults={"name": "No"}) == (author, False)
author, made = Author.objects.update_or_create(email="cy@example.org", defaults={"name": "Cyd"})
assert not made and Author.objects.get(pk=author.pk).name == "Cyd"

# Transactions and what fails in them.
for broken in (
    lambda: Author.objects.create(name="Twin", email="ann@example.org"),
    lambda: Book.objects.filter(title="BOOK 3").update(title="BOOK 1"),
    lambda: Book.objects.filter(title="BOOK 3").update(discount=1000),
    lambda: Book.objects.filter(title="BOOK 3").update(stock=-1),
    lambda: Book.objects.create(title="No author", price=1, code=uuid.uuid4(), author_id=None),
):
    try:
        with transaction.atomic():
            broken()
    except IntegrityError:
        continue
    raise AssertionError("an integrity error was expected")
with transaction.atomic():
    Tag.objects.create(slug="outer")
    try:
        with transaction.atomic():
            Tag.objects.create(slug="inner")
            raise ValueError
    except ValueError:
        pass
    with transaction.atomic():
        Tag.objects.create(slug="kept")
assert set(Tag.objects.filter(slug__in=["outer", "inner", "kept"]).values_list("slug", flat=True)) == {"outer", "kept"}
ran = []
with transaction.atomic():
    transaction.on_commit(lambda: ran.append(1))
assert ran == [1]

# Deleting takes along what Django says it takes along.
count, kinds = ann.delete()
assert kinds["shop.Book"] == 26 and kinds["shop.Profile"] == 1 and Book.objects.filter(sequel_of=None).count() == Book.objects.count()

# Django's own applications.
user = User.objects.create_user("ann", password="secret", email="a@example.org")
group = Group.objects.create(name="editors")
group.permissions.set(Permission.objects.filter(codename__startswith="add_"))
user.groups.add(group)
assert User.objects.get(username="ann").check_password("secret") and user.has_perm("shop.add_book")
call_command("migrate", "shop", "zero", verbosity=0)
assert "shop_book" not in connection.introspection.table_names()
print("django: ok")
