"""Models with every kind of relation, as the last migration leaves them."""
from django.db import models
from django.db.models import F, Q


class Author(models.Model):
    name = models.CharField(max_length=60)
    email = models.EmailField(unique=True)
    born = models.DateField(null=True)
    rating = models.DecimalField(max_digits=6, decimal_places=2, default=0)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["name", "-born"], name="author_name_born")]


class Profile(models.Model):
    author = models.OneToOneField(Author, models.CASCADE, primary_key=True)
    about = models.TextField(blank=True)
    extra = models.JSONField(default=dict)


class Tag(models.Model):
    slug = models.SlugField(primary_key=True)


class Book(models.Model):
    code = models.UUIDField(unique=True)
    title = models.CharField(max_length=200, db_index=True)
    author = models.ForeignKey(Author, models.CASCADE, related_name="books")
    sequel_of = models.ForeignKey("self", models.SET_NULL, null=True)
    tags = models.ManyToManyField(Tag)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    discount = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    stock = models.PositiveIntegerField(default=0)
    active = models.BooleanField(default=True)
    printed = models.DurationField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["author", "title"], name="one_title_per_author"),
            models.CheckConstraint(condition=Q(discount__lte=F("price")), name="discount_below_price"),
        ]
