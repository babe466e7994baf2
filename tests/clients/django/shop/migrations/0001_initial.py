import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Author",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("full_name", models.CharField(max_length=40)),
                ("email", models.EmailField(max_length=254)),
                ("born", models.DateField(null=True)),
                ("obsolete", models.TextField(default="x")),
            ],
        ),
        migrations.CreateModel(
            name="Tag",
            fields=[("slug", models.SlugField(primary_key=True, serialize=False))],
        ),
        migrations.CreateModel(
            name="Book",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("code", models.UUIDField(unique=True)),
                ("title", models.CharField(db_index=True, max_length=200)),
                ("price", models.DecimalField(decimal_places=2, max_digits=8)),
                ("stock", models.IntegerField(default=0)),
                ("active", models.BooleanField(default=True)),
                ("author", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="books", to="shop.author")),
                ("sequel_of", models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, to="shop.book")),
                ("tags", models.ManyToManyField(to="shop.tag")),
            ],
        ),
    ]
