from django.db import migrations


def forwards(apps, schema_editor):
    Author = apps.get_model("shop", "Author")
    Author.objects.bulk_create([Author(full_name=f"Old {n}", email=f"old{n}@example.org") for n in range(5)])


def backwards(apps, schema_editor):
    apps.get_model("shop", "Author").objects.filter(full_name__startswith="Old").delete()


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
    operations = [migrations.RunPython(forwards, backwards)]
