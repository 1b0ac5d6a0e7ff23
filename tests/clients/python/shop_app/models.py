"""The models of the Django application of app_django.py."""
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import models
from django.db.models.functions import Lower


class Category(models.Model):
    name = models.CharField(max_length=60, unique=True)

    def __str__(self):
        return self.name


class Product(models.Model):
    name = models.CharField(max_length=80, db_index=True)
    category = models.ForeignKey(Category, on_delete=models.PROTECT, related_name="products")
    price = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    details = models.JSONField(default=dict)
    added = models.DateTimeField(auto_now_add=True)
    tags = models.ManyToManyField("Tag", blank=True)

    class Meta:
        indexes = [models.Index(fields=["category", "price"])]
        constraints = [models.CheckConstraint(condition=models.Q(price__gte=0), name="price_is_not_negative")]

    def __str__(self):
        return self.name


class Tag(models.Model):
    word = models.SlugField(unique=True)

    class Meta:
        ordering = [Lower("word")]

    def __str__(self):
        return self.word


class Order(models.Model):
    buyer = models.ForeignKey(User, on_delete=models.CASCADE)
    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="orders")
    amount = models.PositiveIntegerField(default=1)
    at = models.DateTimeField()
    note = models.TextField(blank=True)


class ProductAdmin(admin.ModelAdmin):
    list_display = ["name", "category", "price"]
    list_filter = ["category"]
    search_fields = ["name", "category__name"]
    date_hierarchy = "added"


admin.site.register([Category, Tag, Order])
admin.site.register(Product, ProductAdmin)
