"""A Django application: migrations made and run, ORM, transactions, the admin site; each step is named on one line.

usage: app_django.py HOST USER PASSWORD SCHEMA pymysql|mysqlclient
A step that fails ends the program with exit status 1.
"""
import datetime
import io
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

host, user, password, schema, driver = sys.argv[1:6]
if driver == "pymysql":
    import pymysql

    # What Django asks of mysqlclient.
    pymysql.version_info = (2, 2, 7, "final", 0)
    pymysql.install_as_MySQLdb()

import django
from django.conf import settings

generated = tempfile.TemporaryDirectory()
sys.path.append(generated.name)
(Path(generated.name) / "shop_migrations").mkdir()
(Path(generated.name) / "shop_migrations/__init__.py").touch()
settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.mysql", "HOST": host, "PORT": 3306, "USER": user, "PASSWORD": password,
            "NAME": schema, "OPTIONS": {"charset": "utf8mb4"},
        }
    },
    INSTALLED_APPS=[
        "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
        "django.contrib.messages", "shop_app",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[{
        "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
        "OPTIONS": {"context_processors": [
            "django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
            "django.contrib.messages.context_processors.messages",
        ]},
    }],
    ROOT_URLCONF=__name__, SECRET_KEY="x", ALLOWED_HOSTS=["*"], USE_TZ=True, STATIC_URL="/static/",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField", MIGRATION_MODULES={"shop_app": "shop_migrations"},
    SILENCED_SYSTEM_CHECKS=["mysql.W002"],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
)
django.setup()

from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.db import IntegrityError, connection, models, transaction
from django.db.models import Avg, Case, Count, Exists, F, Max, OuterRef, Q, Subquery, Sum, Value, When, Window
from django.db.models.functions import Coalesce, Concat, ExtractYear, Rank, TruncMonth, Upper
from django.test import Client
from django.urls import path
from django.utils import timezone
from shop_app.models import Category, Order, Product, Tag

urlpatterns = [path("admin/", admin.site.urls)]


def command(*words, **options):
    output = io.StringIO()
    call_command(*words, stdout=output, **options)
    return output.getvalue()


def migrations():
    command("makemigrations", "shop_app", verbosity=0)
    command("migrate", verbosity=0)
    # One later, which changes what is there.
    later = Path(generated.name) / "shop_migrations/0002_later.py"
    later.write_text(LATER)
    import importlib
    importlib.invalidate_caches()
    command("migrate", "shop_app", verbosity=0)
    command("migrate", "shop_app", "0001", verbosity=0)
    command("migrate", "shop_app", verbosity=0)
    assert "[X] 0002_later" in command("showmigrations")


LATER = '''
from django.db import migrations, models

def fill(apps, schema_editor):
    Product = apps.get_model("shop_app", "Product")
    Product.objects.update(weight=1)

class Migration(migrations.Migration):
    dependencies = [("shop_app", "0001_initial")]
    operations = [
        migrations.AddField("product", "weight", models.IntegerField(null=True)),
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.AlterField("product", "weight", models.BigIntegerField(null=True, db_index=True)),
        migrations.RenameField("order", "note", "remark"),
        migrations.RenameField("order", "remark", "note"),
        migrations.AddIndex("order", models.Index(fields=["at"], name="orders_at")),
        migrations.RenameIndex("order", new_name="orders_at_2", old_name="orders_at"),
        migrations.RemoveIndex("order", "orders_at_2"),
        migrations.RemoveField("product", "weight"),
        migrations.CreateModel("Passing", [("id", models.BigAutoField(primary_key=True)), ("word", models.TextField())]),
        migrations.RenameModel("Passing", "Passed"),
        migrations.RunSQL("INSERT INTO shop_app_passed (word) VALUES ('x')", migrations.RunSQL.noop),
        migrations.DeleteModel("Passed"),
    ]
'''


def rows():
    tools = Category.objects.create(name="tools")
    Category.objects.bulk_create([Category(name=f"category {n}") for n in range(5)])
    Category.objects.bulk_create([Category(name="tools")], ignore_conflicts=True)
    Category.objects.bulk_create([Category(name="tools")], update_conflicts=True, update_fields=["name"])
    products = [Product(name=f"product {n}", category=tools, price=n, details={"n": n}) for n in range(10)]
    Product.objects.bulk_create(products, batch_size=4)
    hammer, made = Product.objects.get_or_create(name="hammer", defaults={"category": tools, "price": "9.50"})
    assert made
    Product.objects.update_or_create(name="hammer", defaults={"price": "9.75"})
    hammer.tags.add(*[Tag.objects.create(word=word) for word in ["new", "Old", "it's", 'a "b"', "back\\slash"][:2]])
    hammer.tags.set(Tag.objects.filter(word="new"))
    hammer.name = "sledge \\ hammer's \"big\" %s ☕"
    hammer.save(update_fields=["name"])
    hammer.refresh_from_db()
    assert hammer.name.endswith("☕")
    buyer = User.objects.create_user("buyer", "buyer@example.org", "secret")
    for n, product in enumerate(Product.objects.all()):
        Order.objects.create(buyer=buyer, product=product, amount=n + 1, at=timezone.now() - datetime.timedelta(days=n))
    Product.objects.filter(price__lt=3).update(price=F("price") + 1)
    found = list(Product.objects.filter(price__lt=5))
    for product in found:
        product.price += 1
    Product.objects.bulk_update(found, ["price"])
    Order.objects.filter(amount=1).delete()


def queries():
    products = Product.objects
    list(products.select_related("category").filter(category__name__istartswith="TOO").order_by("-price", "name")[2:5])
    list(products.prefetch_related("tags", "orders__buyer"))
    list(products.filter(Q(name__contains="a%b_c") | Q(name__iregex="^ham") | ~Q(price__in=[1, 2]), details__n__gt=3))
    list(products.filter(details__has_key="n").values_list("details__n", flat=True))
    list(products.annotate(n=Count("orders"), total=Sum("orders__amount")).filter(n__gt=0).values("name", "n", "total"))
    products.aggregate(Avg("price"), Max("price"), Count("category", distinct=True))
    latest = Order.objects.filter(product=OuterRef("pk")).order_by("-at")
    list(products.annotate(last=Subquery(latest.values("at")[:1]), any=Exists(latest)))
    list(products.annotate(rank=Window(Rank(), partition_by="category", order_by=F("price").desc())))
    list(products.annotate(size=Case(When(price__gt=5, then=Value("big")), default=Value("small"))).values("size").distinct())
    list(products.annotate(label=Concat(Upper("name"), Value(": "), "category__name"), c=Coalesce("price", Value(Decimal(0)))))
    list(products.filter(price=1).union(products.filter(price=2), all=True))
    list(Order.objects.annotate(year=ExtractYear("at")).values("year").annotate(n=Count("id")))
    list(Order.objects.filter(at__year=2026, at__gte=timezone.now() - datetime.timedelta(hours=1)))
    list(products.in_bulk([1, 2, 3]))
    list(products.iterator(chunk_size=2))
    list(products.raw("SELECT * FROM shop_app_product WHERE price > %s", [2]))
    products.filter(name="x").exists(), products.count(), products.first(), products.last(), products.earliest("added")
    products.filter(price__gt=1).explain()
    list(Category.objects.values_list("name", "products__orders__buyer__username").order_by(F("name").asc(nulls_last=True)))
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM shop_app_order WHERE note LIKE %s", ["%'%"])
        cursor.executemany("INSERT INTO shop_app_tag (word) VALUES (%s)", [["many-1"], ["many-2"]])


def transactions():
    with transaction.atomic():
        list(Product.objects.select_for_update().filter(price__gt=1))
        try:
            with transaction.atomic():
                Category.objects.create(name="tools")
        except IntegrityError:
            pass
        Category.objects.create(name="kept")
    try:
        with transaction.atomic():
            Category.objects.create(name="undone")
            raise ValueError
    except ValueError:
        pass
    assert not Category.objects.filter(name="undone").exists() and Category.objects.filter(name="kept").exists()
    transaction.set_autocommit(False)
    Category.objects.create(name="by hand")
    transaction.commit()
    transaction.set_autocommit(True)


def site():
    User.objects.create_superuser("root", "root@example.org", "secret")
    group = Group.objects.create(name="staff")
    group.permissions.set(Permission.objects.filter(content_type__app_label="shop_app"))
    browser = Client()

    def get(page):
        assert browser.get(page).status_code == 200, page

    def post(page, **fields):
        answer = browser.post(page, fields)
        assert answer.status_code == 302, (page, answer.context and answer.context["errors"])

    post("/admin/login/?next=/admin/", username="root", password="secret")
    for page in ["", "shop_app/", "shop_app/product/", "shop_app/product/?q=ham", "shop_app/product/?category__id__exact=1",
                 "shop_app/product/?o=-3.1", "shop_app/product/?added__year=2026", "shop_app/order/", "auth/user/"]:
        get(f"/admin/{page}")
    post("/admin/shop_app/category/add/", name="from the site's form")
    made = Category.objects.get(name="from the site's form")
    get(f"/admin/shop_app/category/{made.pk}/change/")
    post(f"/admin/shop_app/category/{made.pk}/change/", name="changed")
    get(f"/admin/shop_app/category/{made.pk}/history/")
    post(f"/admin/shop_app/category/{made.pk}/delete/", post="yes")
    post("/admin/shop_app/tag/", action="delete_selected", _selected_action=[str(Tag.objects.first().pk)], post="yes")
    assert browser.post("/admin/logout/").status_code == 200


def chores():
    command("check", databases=["default"])
    data = command("dumpdata", "shop_app", "auth.group")
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(data)
        file.flush()
        command("loaddata", file.name)
    assert "class ShopAppProduct" in command("inspectdb")
    command("clearsessions")
    command("createcachetable", verbosity=0)
    command("sqlmigrate", "shop_app", "0001")
    command("remove_stale_contenttypes", interactive=False)
    command("flush", interactive=False, verbosity=0)
    command("migrate", "shop_app", "zero", verbosity=0)
    command("migrate", "admin", "zero", verbosity=0)


for step in [migrations, rows, queries, transactions, site, chores]:
    step()
    print(step.__name__)
connection.close()
