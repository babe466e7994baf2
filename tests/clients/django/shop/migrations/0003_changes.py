"""One of every change that makemigrations makes of a table."""
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("shop", "0002_rows")]
    operations = [
        migrations.CreateModel(
            name="Profile",
            fields=[
                ("author", models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, serialize=False, to="shop.author")),
                ("about", models.TextField(blank=True)),
                ("extra", models.JSONField(default=dict)),
            ],
        ),
        migrations.RenameField("author", "full_name", "name"),
        migrations.AlterField("author", "name", models.CharField(max_length=60)),
        migrations.AlterField("author", "email", models.EmailField(max_length=254, unique=True)),
        migrations.RemoveField("author", "obsolete"),
        migrations.AddField("author", "rating", models.DecimalField(decimal_places=2, default=0, max_digits=6)),
        migrations.AddField("author", "created", models.DateTimeField(auto_now_add=True, default=django.utils.timezone.now), preserve_default=False),
        migrations.AddField("book", "discount", models.DecimalField(decimal_places=2, default=0, max_digits=8)),
        migrations.AddField("book", "printed", models.DurationField(null=True)),
        migrations.AlterField("book", "stock", models.PositiveIntegerField(default=0)),
        migrations.AddIndex("author", models.Index(fields=["name", "-born"], name="author_by_name")),
        migrations.RenameIndex("author", new_name="author_name_born", old_name="author_by_name"),
        migrations.AddConstraint("book", models.UniqueConstraint(fields=("author", "title"), name="one_title_per_author")),
        migrations.AddConstraint("book", models.CheckConstraint(condition=models.Q(("discount__lte", models.F("price"))), name="discount_below_price")),
    ]
