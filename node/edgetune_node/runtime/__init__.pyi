from .service import Service as Service
